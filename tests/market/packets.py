"""One packet of each opcode as it crosses the wire: golden frames for the codec's tests."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from msgspec import UNSET

from realtime.market.messages import (
    SYSTEM,
    AlertNewMessage,
    AskConversations,
    Conversation,
    CreateMessage,
    CreateService,
    EditPrice,
    EndNegotiation,
    Error,
    Message,
    MessageSeen,
    Note,
    Offer,
    OpenConversation,
    OpenDispute,
    Pong,
    ReportConversation,
    ReportMessage,
    ReturnConversations,
    Service,
    StatusMessage,
    SubmitNote,
    TerminateService,
    UpdateConversation,
    User,
)

ALICE, BOB = User(7, "alice"), User(8, "bob")
MESSAGE = Message(120, ALICE, "Is it <free>?", False, 1_700_000_000_123, 3)
SAID = Message(121, SYSTEM, "Proposed: 40.00.", True, 1_700_000_000_456, 3)
SERVICE = Service(
    5, "Garden", "", Decimal("40.00"), 7, 8, "terminated", (Note(7, 4, "Good."),), 1_700_000_000_000
)
CONVERSATION = Conversation(3, BOB, 1_700_000_000_456, True, (MESSAGE, SAID), (SERVICE,))

MESSAGE_JSON = (
    '{"id":120,"sender":{"id":7,"username":"alice"},"content":"Is it <free>?","seen":false,'
    '"created":1700000000123,"conversation":3}'
)
SAID_JSON = (
    '{"id":121,"sender":{"id":0,"username":"system"},"content":"Proposed: 40.00.","seen":true,'
    '"created":1700000000456,"conversation":3}'
)
SERVICE_JSON = (
    '{"id":5,"title":"Garden","category":"","price":"40.00","client":7,"recipient":8,"status":"terminated",'
    '"notes":[{"author":7,"grade":4,"comment":"Good."}],"createdAt":1700000000000}'
)
CONVERSATION_JSON = (
    '{"id":3,"with":{"id":8,"username":"bob"},"last":1700000000456,"hasNewMessage":true,'
    f'"messages":[{MESSAGE_JSON},{SAID_JSON}],"services":[{SERVICE_JSON}]}}'
)

FROM_SERVER: tuple[tuple[int, str, Any], ...] = (
    (
        0x00,
        '{"opcode":228,"code":"not-allowed","message":"This is not allowed now."}',
        Error(0xE4, "not-allowed", "This is not allowed now."),
    ),
    (0x06, f'{{"conversations":[{CONVERSATION_JSON}]}}', ReturnConversations((CONVERSATION,))),
    (0x06, '{"conversations":[]}', ReturnConversations(())),
    (
        0x08,
        f'{{"sent":true,"conversation":3,"json":{MESSAGE_JSON},"fakeId":"tmp-1"}}',
        StatusMessage(True, 3, MESSAGE, "tmp-1"),
    ),
    (
        0x08,
        '{"sent":false,"conversation":null,"fakeId":null,"error":"not-found"}',
        StatusMessage(False, None, UNSET, None, "not-found"),
    ),
    (0x10, f'{{"conversation":3,"json":{SAID_JSON}}}', AlertNewMessage(3, SAID)),
    (0x11, '{"conversation":3,"message":120}', MessageSeen(3, 120)),
    (0xE0, f'{{"conversation":3,"services":[{SERVICE_JSON}]}}', UpdateConversation(3, (SERVICE,))),
)
"""Opcode, body in the binary form, message. PING has no body and stands in the tests."""

FROM_CLIENT: tuple[tuple[int, str, Any], ...] = (
    (0x02, '"pong"', Pong()),
    (0x05, "{}", AskConversations()),
    (0x05, '{"limit":10,"before":3}', AskConversations(10, 3)),
    (0x07, '{"id":"tmp-1","msg":"Hi","conversation":3}', CreateMessage("Hi", 3, None, "tmp-1")),
    (0x07, '{"msg":"Hi","to":8}', CreateMessage("Hi", None, 8)),
    (0x09, '{"conversation":3}', OpenConversation(3)),
    (
        0xE1,
        '{"conversation":3,"service":{"title":"Garden","category":"Home","price":40,"client":7,"recipient":8}}',
        CreateService(3, Offer(Decimal("40.00"), "Garden", "Home", 7, 8)),
    ),
    (
        0xE2,
        '{"conversation":3,"service":5,"grade":4,"comment":"Good."}',
        SubmitNote(3, 5, 4, "Good."),
    ),
    (0xE3, '{"conversation":3,"service":5,"reason":"It rained."}', OpenDispute(3, 5, "It rained.")),
    (0xE4, '{"conversation":3,"service":5}', TerminateService(3, 5)),
    (0xE5, '{"conversation":3,"service":5,"price":"12.5"}', EditPrice(3, 5, Decimal("12.50"))),
    (0xE6, '{"conversation":3,"service":5}', EndNegotiation(3, 5)),
    (0xE6, '{"conversation":3,"service":5,"accepted":false}', EndNegotiation(3, 5, False)),
    (0xFE, '{"conversation":3,"reason":"spam"}', ReportConversation(3, "spam")),
    (0xFF, '{"message":120,"reason":"spam"}', ReportMessage(120, "spam")),
)
"""Opcode, body, message."""
