"""Every JSON example of the support document (004), as it stands there, in its order."""

AUTH_REQUEST = """
{
	"method": "message.auth",
	"params": [
		"QWERTYUIOP"
	],
	"id": 1
}
"""

AUTH_REPLY = """
{
	"error": null,
	"result": {
		"messages": [
			{
				"message_id": 1,
				"message_text": "Message from Client",
				"invader_name": "",
				"is_from_support": false,
				"created": 1678794555
			},
			{
				"message_id": 2,
				"message_text": "Message from Operator",
				"invader_name": "Operator1",
				"is_from_support": true,
				"created": 1678794555
			}
		]
	},
	"id": 1
}
"""

AUTH_REPLY_EMPTY = """
{
	"error": null,
	"result": {
		"messages": null
	},
	"id": 1
}
"""

SEND_REQUEST = """
{
	"method": "message.send",
	"params": [
		"message"
	],
	"id": 1
}
"""

INCORRECT_ARGUMENT_REPLY = """
{
	"error": {
		"code": 1,
		"message": "Incorrect argument."
	},
	"result": null,
	"id": 1
}
"""

SEND_REPLY = """
{
	"error": null,
	"result": {
		"message":
			{
				"message_id": 3,
				"message_text": "Message from Client",
				"invader_name": "",
				"is_from_support": false,
				"created": 1678794555
			}
	},
	"id": 3
}
"""

PUSH = """
{
	"error": null,
	"result": {
		"message":
			{
				"message_id": 3,
				"message_text": "Message from Client",
				"invader_name": "",
				"is_from_support": true,
				"created": 1678794555
			}
	},
	"id": 3
}
"""

OPERATOR_SEND_REQUEST = """
{
	"method": "message.operatorSend",
	"params": [
		"message"
	],
	"id": 1
}
"""

OPERATOR_SEND_REPLY = SEND_REPLY

SIGN_IN_REQUEST = """
{
	"user_name": "user1",
	"password": "password1"
}
"""

SIGN_IN_REPLY = """
{
	"error": null,
	"result": {
		"token": "QWERTYUIOP"
	},
	"id": 6
}
"""
