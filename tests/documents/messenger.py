"""Every JSON example of the messenger document (003), in its order.

The document draws them without the quotes of keys, and one of them without a comma: here they are JSON.
What is drawn as "String" stands for any text.
"""

AUTH_SUCCESS = """
{
  "type": "AUTH_MESSAGE",
  "status": "SUCCESS",
  "serverData": {
    "userList": [{
      "nickname": "String",
      "userId": "String",
      "avatar": "String",
      "language": "String",
      "status": "String",
      "lastOnline": "String",
      "registerDate": "String"
    }]
  }
}
"""

AUTH_ERROR = """
{
  "type": "AUTH_MESSAGE",
  "status": "ERROR",
  "error": {
    "errorCode": "String",
    "message": "String"
  }
}
"""

SAY = """
{
  "type": "CHAT_MESSAGE",
  "serverData": {
    "message": "String"
  }
}
"""

SAID = """
{
  "type": "CHAT_MESSAGE",
  "serverData": {
    "message": "String",
    "sender": "String",
    "sendTime": "String"
  }
}
"""

SEND = """
{
  "type": "DIALOG_MESSAGE",
  "clientData": {
    "message": "String"
  },
  "serverData": {
    "receiver": "String"
  }
}
"""

DIALOG = """
{
  "type": "DIALOG_MESSAGE",
  "clientData": {
    "message": "String"
  },
  "serverData": {
    "messageId": "String",
    "sender": "String",
    "sendTime": "String"
  }
}
"""

DELIVERED = """
{
  "type": "DELIVERY_MESSAGE",
  "status": "SUCCESS",
  "serverData": {
    "messageId": "String"
  }
}
"""

NOT_DELIVERED = """
{
  "type": "DELIVERY_MESSAGE",
  "status": "ERROR",
  "serverData": {
    "messageId": "String"
  }
}
"""

USER_CONNECTION = """
{
  "type": "USER_CONNECTION_MESSAGE",
  "serverData": {
    "connectionStatus": "String",
    "userId": "String",
    "nickname": "String",
    "avatar": "String",
    "language": "String",
    "status": "String",
    "lastOnline": "String",
    "registerDate": "String"
  }
}
"""

NOT_WITH_DISCONNECT = ("nickname", "avatar", "language", "status", "lastOnline", "registerDate")
"""What is left out of `USER_CONNECTION` when somebody has gone."""

SAVE_AVATAR = """
{
  "type": "SAVE_AVATAR",
  "serverData": {
    "imageBase64": "String"
  }
}
"""

AVATAR_SAVED = """
{
  "type": "SAVE_AVATAR",
  "status": "SUCCESS"
}
"""

AVATAR_NOT_SAVED = """
{
  "type": "SAVE_AVATAR",
  "status": "ERROR",
  "error": {
    "errorCode": "String",
    "message": "String"
  }
}
"""

ALREADY_CONNECTED, TOKEN_INVALID = "1", "2"
"""The error codes of `AUTH_ERROR`."""

PICTURE_TOO_LARGE = "1"
"""The error code of `AVATAR_NOT_SAVED`."""
