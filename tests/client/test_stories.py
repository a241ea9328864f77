"""The whole story of each client with a real daemon, which is killed in the middle and comes back."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from realtime.client import (
    Client,
    Connected,
    ConnectionEnded,
    ConnectionLost,
    Disconnected,
    MarketClient,
    MessengerClient,
    NotDelivered,
    RequestFailed,
    SignInRefused,
    SupportClient,
    SupportOperator,
    TalkClient,
    WorkspaceClient,
    sign_in,
)
from realtime.client.market import AlertNewMessage, Form, MessageSeen, UpdateConversation
from realtime.client.messenger import Came, Dialog, Said, Went
from realtime.client.support import Message, OperatorMessage
from realtime.client.talk import Answer, Question
from realtime.client.talk import Message as Words
from realtime.client.workspace import ChannelCreated, OnlineStatus, StatusUpdated
from realtime.client.workspace import Message as Posted
from tests.client.stories import QUICK, Server, pause, serve, token
from tests.endtoend.accounts import add_user
from tests.endtoend.conftest import Start
from tests.endtoend.daemon import PRIVATE
from tests.reactor import in_reactor


async def fails(asked: Deferred[Any], kind: type[Exception]) -> Exception:
    """What something fails with."""
    try:
        result = await asked
    except kind as error:
        return error
    raise AssertionError(f"did not fail, but gave {result}")


async def close(*clients: Client) -> None:
    """Close them all."""
    await gatherResults([client.close() for client in clients])


async def killed_and_back(server: Server, *clients: Client) -> None:
    """Kill the server, start it again, and wait until it serves the clients."""
    lost = gatherResults([client.next(Disconnected) for client in clients])
    back = gatherResults([client.next(Connected) for client in clients])
    await server.kill()
    assert {each.code for each in await lost} == {1006}
    await server.return_()
    assert all(each.again for each in await back)


@in_reactor
async def test_support(start_daemon: Start) -> None:
    """A customer and an operator; what was said while one of them was away is heard afterwards, once."""
    server = await serve(start_daemon)
    alice = SupportClient(server.url("support"), token("alice"), options=QUICK)
    olga = SupportOperator(server.url("support"), token("olga"), options=QUICK)
    said: list[str] = []
    heard: list[tuple[str, str]] = []
    alice.listen(Message, lambda message: said.append(message.message_text))
    olga.listen(OperatorMessage, lambda message: heard.append((message.user_name, message.message_text)))
    await gatherResults([alice.start(), olga.start()])
    assert alice.messages_at_start == olga.messages_at_start == ()

    asked = olga.next(OperatorMessage)
    stored = await alice.send(f"{PRIVATE} one")
    assert (await asked).message_id == stored.message_id
    answered = alice.next(Message)
    await olga.answer(f"{PRIVATE} two")
    assert (await answered).invader_name == "olga"
    assert (await olga.seen(1)).unread == 0
    assert [each.user_name for each in await olga.conversations()] == ["alice"]
    refused = await fails(alice.send(" "), RequestFailed)
    assert isinstance(refused, RequestFailed)
    assert refused.code == 1

    await olga.close()
    await alice.send(f"{PRIVATE} three")
    await killed_and_back(server, alice)
    await alice.send(f"{PRIVATE} four")
    await olga.start()
    await alice.send(f"{PRIVATE} five")
    await olga.answer(f"{PRIVATE} six", 1)
    assert [message.message_text[6:] for message in await alice.history()] == [
        *("one", "two", "three", "four", "five", "six")
    ]
    assert said == [f"{PRIVATE} two", f"{PRIVATE} six"]
    assert heard == [("alice", f"{PRIVATE} {number}") for number in ("one", "three", "four", "five")]
    await close(alice, olga)
    await fails(alice.send("too late"), ConnectionEnded)


@in_reactor
async def test_messenger(start_daemon: Start) -> None:
    """Dialogs arrive once, also those that were sent while the server was away."""
    server = await serve(start_daemon)
    alice, bob = (
        MessengerClient(server.url("messenger"), token(name), options=QUICK) for name in ("alice", "bob")
    )
    received: list[object] = []
    bob.listen(Dialog, lambda dialog: received.append(dialog.data))
    await alice.start()
    assert [profile.nickname for profile in alice.online.values()] == ["alice"]
    came = alice.next(Came)
    await bob.start()
    assert (await came).profile.user_id == "2"

    outcome = await alice.send("2", {"secret": f"{PRIVATE} one"})
    assert outcome.receiver == "2"
    assert isinstance(await fails(alice.send("999", 1), NotDelivered), NotDelivered)
    heard = bob.next(Said)
    assert (await alice.say(PRIVATE)).sender == (await heard).sender == "1"
    changed = bob.next(Came)
    await alice.change_profile(nickname="Al")
    assert (await changed).profile.nickname == "Al"
    await fails(alice.save_avatar(b"no picture"), RequestFailed)
    (line,) = await bob.history("1")
    assert bytes(line.client_data) == b'{"secret":"%b one"}' % PRIVATE.encode()
    assert [said.message for said in await bob.room_history()] == [PRIVATE]

    gone = alice.next(Went)
    await bob.close()
    assert (await gone).user_id == "2"
    waits = alice.send("2", f"{PRIVATE} two")
    await killed_and_back(server, alice)
    later = alice.send("2", f"{PRIVATE} three")
    await bob.start()
    await gatherResults([waits, later])
    assert received == [{"secret": f"{PRIVATE} one"}, f"{PRIVATE} two", f"{PRIVATE} three"]
    await close(alice, bob)


async def deal(server: Server, form: Form, *names: str, is_killed: bool = False) -> None:
    """Two parties agree on a service."""
    url = server.url("market")
    alice, bob = (MarketClient(url, token(name), form=form, options=QUICK) for name in names)
    bobs_id = ("alice", "bob", "carol").index(names[1]) + 1
    await gatherResults([alice.start(), bob.start()])
    asked = bob.next(AlertNewMessage)
    message = await alice.say(f"{PRIVATE} Is it free?", to=bobs_id)
    conversation = message.conversation
    assert (await asked).message == message
    seen = alice.next(MessageSeen)
    bob.opened(conversation)
    assert (await seen).message == message.id
    refused = await fails(alice.say("?", conversation=999), RequestFailed)
    assert isinstance(refused, RequestFailed)
    assert refused.code == "not-found"

    told = bob.next(UpdateConversation)
    (service,) = await alice.propose(conversation, "40.00", title="Garden")
    assert (await told).services == (service,)
    (service,) = await bob.edit_price(conversation, "45")
    assert str(service.price) == "45.00"
    refused = await fails(bob.end_negotiation(conversation), RequestFailed)
    assert isinstance(refused, RequestFailed)
    assert refused.code == "not-allowed"
    told = bob.next(UpdateConversation)
    (service,) = await alice.end_negotiation(conversation)
    assert service.status == "agreed"
    await told
    told = bob.next(UpdateConversation)
    await alice.terminate(conversation)
    await told
    (service,) = await bob.grade(conversation, 5, "fine")
    assert [(note.author, note.grade) for note in service.notes] == [(bobs_id, 5)]
    alice.report_conversation(conversation, PRIVATE)

    once = await alice.say(f"{PRIVATE} Thank you", conversation=conversation, key="k1")
    if is_killed:
        await killed_and_back(server, alice, bob)
    assert await alice.say(f"{PRIVATE} Thank you", conversation=conversation, key="k1") == once
    shown, *_ = await bob.conversations()
    assert (shown.other.username, shown.services[0].status) == (names[0], "terminated")
    await close(alice, bob)


@in_reactor
async def test_market(start_daemon: Start) -> None:
    """A deal, in the three forms."""
    server = await serve(start_daemon)
    await deal(server, Form.BINARY, "alice", "bob", is_killed=True)
    await deal(server, Form.TEXT, "bob", "carol")
    await deal(server, Form.MSGPACK, "carol", "alice")


@in_reactor
async def test_talk(start_daemon: Start) -> None:
    """A talk, one that ends with the server, and one after that."""
    server = await serve(start_daemon, talk_talk_duration="0.5", talk_rematch_after="0")
    alice, bob = (TalkClient(server.url("talk"), token(name), options=QUICK) for name in ("alice", "bob"))
    questions = [Question(1, f"{PRIVATE}?")]

    async def talk() -> None:
        found = gatherResults([alice.find(0.3, questions), bob.find(0.35)])
        assert [match.username for match in await found] == ["bob", "alice"]
        await gatherResults([alice.confirm(), bob.confirm()])

    await talk()
    heard = bob.next(Words)
    alice.say(f"{PRIVATE} Hello")
    assert (await heard).message == f"{PRIVATE} Hello"
    assert [(await each.stopped()).questions for each in (alice, bob)] == [(), tuple(questions)]
    await fails(bob.answer([]), RequestFailed)
    both = await gatherResults([alice.answer([]), bob.answer([Answer(1, PRIVATE)])])
    assert [each.answers for each in both] == [(Answer(1, PRIVATE),), ()]

    await talk()
    stopped = [each.stopped() for each in (alice, bob)]
    await server.kill()
    for each in stopped:
        await fails(each, ConnectionLost)
    looking = gatherResults([alice.find(0.3), bob.find(0.3)])
    await server.return_()
    await looking
    confirmed = alice.confirm()
    await bob.close()
    left = await fails(confirmed, RequestFailed)
    assert isinstance(left, RequestFailed)
    assert left.code == "partner-left"
    await alice.close()
    await fails(alice.find(0.3), ConnectionEnded)


@in_reactor
async def test_workspace(start_daemon: Start) -> None:
    """What was missed comes by recovery; after the server was killed it is read."""
    server = await serve(start_daemon)
    alice, bob = (WorkspaceClient(server.url(""), token(name), options=QUICK) for name in ("alice", "bob"))
    heard: list[str] = []
    bob.listen(Posted, lambda message: heard.append(message.text))
    await gatherResults([alice.start(), bob.start()])
    assert (alice.user_id, alice.is_recovered) == ("1", False)
    created = bob.next(ChannelCreated)
    channel = await alice.create_channel("general")
    assert (await created).channel == channel
    assert await bob.channels() == [channel]
    looks = bob.next(StatusUpdated)
    await alice.set_status(OnlineStatus.IDLE)
    assert (await looks).online_status is OnlineStatus.IDLE
    refused = await fails(alice.say("999", "?"), RequestFailed)
    assert isinstance(refused, RequestFailed)
    assert (refused.code, refused.message) == ("message-send", "Not found")

    await alice.say(channel.id, f"{PRIVATE} one")
    back = bob.next(Connected)
    bob._connection.drop()
    await alice.say(channel.id, f"{PRIVATE} two")
    await back
    assert bob.is_recovered
    once = await alice.say(channel.id, f"{PRIVATE} three", client_id="c1")
    while len(heard) < 3:
        await pause()
    assert heard == [f"{PRIVATE} {number}" for number in ("one", "two", "three")]

    await killed_and_back(server, alice, bob)
    assert not bob.is_recovered
    assert await alice.say(channel.id, f"{PRIVATE} three", client_id="c1") == once
    assert [message.text for message in await bob.messages(channel.id, limit=2)] == heard[1:]
    await close(alice, bob)


@in_reactor
async def test_a_token_that_is_not_valid(start_daemon: Start) -> None:
    """Ends each of the clients, at once and for good."""
    server = await serve(start_daemon)
    for kind, path, code in (
        (SupportClient, "support", 4401),
        (MessengerClient, "messenger", "2"),
        (MarketClient, "market", 4401),
        (WorkspaceClient, "", "auth"),
    ):
        client = kind(server.url(path), "nobody's", options=QUICK)
        error = await fails(client.start(), Exception)
        assert getattr(error, "code", None) == code, error
        assert not client.is_connected
        await client.close()
    talker = TalkClient(server.url("talk"), "nobody's", options=QUICK)
    refused = await fails(talker.find(0.3), RequestFailed)
    assert getattr(refused, "code", None) == "unauthorized"
    await talker.close()


@in_reactor
async def test_signing_in(start_daemon: Start) -> None:
    """A name and a password for a token that the clients take, also from a function."""
    server = await serve(start_daemon)
    await add_user(server.folder, "dora")
    await fails(sign_in(server.url("support"), "dora", "wrong"), SignInRefused)
    asked = []

    def fresh() -> Deferred[str]:
        asked.append(1)
        return sign_in(server.url("support"), "dora", "dora")

    dora = SupportClient(server.url("support"), fresh, options=QUICK)
    await dora.start()
    await killed_and_back(server, dora)
    assert len(asked) >= 2
    await dora.close()
