"""Every JSON example of the talk document (000), as it stands there, in its order."""

FIND = """
{
  "score": 0.3,
  "questions": [
      {
        "id": 1,
        "question": "Am I interesting?"
      },
      {
        "id": 2,
        "question": "Am I boring?"
      },
      {
        "id": 3,
        "question": "Did you like the talk?"
      }
  ]
}
"""

MATCH = """
{
  "username": "viper",
  "user_id": 5,
  "match_id": "123e4567-e89b-12d3-a456-426655440000"
}
"""

CONFIRM = """
{
  "match_id": "123e4567-e89b-12d3-a456-426655440000"
}
"""

MESSAGE = """
{
  "message": "Hi, how are you?"
}
"""

CHAT_STOP = """
{
  "questions": [
      {
        "id": 1,
        "question": "Am I interesting?"
      },
      {
        "id": 2,
        "question": "Am I boring?"
      },
      {
        "id": 3,
        "question": "Did you like the talk?"
      }
  ]
}
"""

ANSWERS = """
{
  "match_id": "123e4567-e89b-12d3-a456-426655440000",
  "answers": [
    {
      "question_id": 1,
      "answer": "Yes."
    },
    {
      "question_id": 2,
      "answer": "No."
    },
    {
      "question_id": 3,
      "answer": "Yes."
    }
  ]
}
"""
