"""The module for browsers, ``client.js``, in a page, against a real daemon: each protocol, and losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, WebSocketRoute

from tests.browser.stage import PATIENCE, Stage, story
from tests.endtoend.daemon import DaemonProcess, faults_in
from tests.reactor import wait_for

_HELPERS = """
async () => {
  const client = await import(new URL('static/client.js', location.href))
  /** The next event of this name for which a condition holds; its detail. */
  const next = (target, name, holds = () => true) =>
    new Promise((resolve) => {
      const listen = ({ detail }) => {
        if (!holds(detail)) return
        target.removeEventListener(name, listen)
        resolve(detail)
      }
      target.addEventListener(name, listen)
    })
  const state = (target, wanted) => next(target, 'state', ({ state }) => state === wanted)
  const open = async (connection) => {
    const opened = state(connection.connect(), 'open')
    await opened
    return connection
  }
  const here = location.href
  Object.assign(globalThis, { client, next, state, open, here })
}
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """One daemon for all stories that leave it alone, with short times."""
    environment = {"REALTIME_TALK_TALK_DURATION": "1.5", "REALTIME_MARKET_PING_INTERVAL": "0.2"}
    started = DaemonProcess(tmp_path_factory.mktemp("client"), "--demo", environment=environment)
    wait_for(started.start())
    wait_for(started.logged("demo accounts"))
    yield started
    wait_for(started.kill())
    assert not faults_in(started.log), started.log


def enter(stage: Stage, daemon: DaemonProcess) -> Page:
    """A page that has the module."""
    page = stage.visit(f"http://127.0.0.1:{daemon.port}/")
    page.evaluate(_HELPERS)
    return page


def ask(page: Page, script: str, *given: Any) -> Any:
    """What a function answers in the page. It must in time: `evaluate` alone would wait for ever."""
    late = "new Promise((_, reject) => setTimeout(() => reject(new Error('no answer in time')), limit))"
    return page.evaluate(
        f"([limit, given]) => Promise.race([({script})(...given), {late}])", [PATIENCE, list(given)]
    )


def tokens(stage: Stage, daemon: DaemonProcess, *names: str) -> list[str]:
    """Sign people in."""
    return [stage.token(daemon, name) for name in names]


@story
def test_sign_in(stage: Stage, daemon: DaemonProcess) -> None:
    """A name and a password for a token, or an error that says what is wrong."""
    stage.expected.append("status of 403")
    page = enter(stage, daemon)
    token = page.evaluate("client.signIn(here, 'alice', 'alice')")
    assert page.evaluate("(token) => client.userIdOf(token)", token) == "1"
    failed = page.evaluate(
        "client.signIn(here, 'alice', 'bob').catch(({ name, status, message }) => ({ name, status, message }))"
    )
    assert failed == {"name": "SignInError", "status": 403, "message": "Wrong name or password."}


@story
def test_talk(stage: Stage, daemon: DaemonProcess) -> None:
    """Two people are matched, talk, and answer each other's questions."""
    page = enter(stage, daemon)
    told = ask(
        page,
        """async (tokens) => {
          const [alice, bob] = await Promise.all(tokens.map((token) => open(new client.Talk(here, token))))
          const found = [next(alice, 'match'), next(bob, 'match')]
          alice.find(0.3, [{ id: 1, question: 'Am I boring?' }])
          bob.find(0.3, [])
          const [met] = await Promise.all(found)
          const started = [next(alice, 'chat-start'), next(bob, 'chat-start')]
          alice.confirm()
          bob.confirm()
          await Promise.all(started)
          const [heard, over] = [next(bob, 'message'), [next(alice, 'chat-stop'), next(bob, 'chat-stop')]]
          alice.say('Hello <b>')
          const said = await heard
          const [, stop] = await Promise.all(over)
          const phase = bob.phase
          const answers = [next(alice, 'answers'), state(alice, 'ended')]
          bob.answer([{ question_id: 1, answer: 'No' }])
          alice.answer([])
          const [got, ended] = await Promise.all(answers)
          return { met: met.username, said, stop, phase, answers: got.answers, ended, last: alice.phase }
        }""",
        tokens(stage, daemon, "alice", "bob"),
    )
    assert told == {
        "met": "bob",
        "said": {"message": "Hello <b>"},
        "stop": {"questions": [{"id": 1, "question": "Am I boring?"}]},
        "phase": "answering",
        "answers": [{"question_id": 1, "answer": "No"}],
        "ended": {"state": "ended", "code": 1000, "reason": told["ended"]["reason"]},
        "last": "over",
    }


@story
def test_support(stage: Stage, daemon: DaemonProcess) -> None:
    """A customer and an operator talk; frames are shown to whoever asks for them."""
    page = enter(stage, daemon)
    told = ask(
        page,
        """async (tokens) => {
          const [alice, operator] = tokens.map((token) => new client.Support(here, token))
          await Promise.all([open(alice), open(operator)])
          const frames = []
          alice.onframe = (direction, raw, decoded) => frames.push([direction, decoded.method ?? typeof raw])
          await operator.conversations()
          const pushed = next(operator, 'message')
          const own = next(alice, 'message')
          const stored = await alice.send('Hello').done
          const { message } = await pushed
          const answered = next(alice, 'message')
          await operator.assign(message.user_id)
          operator.send('Hi', message.user_id)
          const [conversation] = await operator.conversations()
          return {
            own: (await own).message.message_id === stored.message_id,
            message: [message.message_text, message.user_name],
            answer: (await answered).message.message_text,
            unread: conversation.unread,
            history: (await alice.history({ limit: 1 })).map(({ message_text: text }) => text),
            refused: await alice.conversations().catch(({ code }) => code),
            blank: await alice.send(' ').done.catch(({ code }) => code),
            outbox: alice.outbox.length,
            frames: frames.slice(0, 2),
          }
        }""",
        tokens(stage, daemon, "alice", "operator"),
    )
    assert told == {
        "own": True,
        "message": ["Hello", "alice"],
        "answer": "Hi",
        "unread": told["unread"],
        "history": ["Hi"],
        "refused": 3,
        "blank": 1,
        "outbox": 0,
        "frames": [["out", "message.send"], ["in", "string"]],
    }


@story
def test_messenger(stage: Stage, daemon: DaemonProcess) -> None:
    """The room, a dialog with its delivery, who is there, a profile and a history."""
    page = enter(stage, daemon)
    told = ask(
        page,
        """async (tokens) => {
          const alice = await open(new client.Messenger(here, tokens[0]))
          const came = next(alice, 'user')
          const bob = await open(new client.Messenger(here, tokens[1]))
          const { userId } = await came
          const heard = next(bob, 'message')
          const echo = await alice.say('Hello all').done
          const got = next(bob, 'dialog')
          const outcome = await alice.dialog(userId, { secret: ['x'] }).done
          const nobody = await alice.dialog('4000', 1).done.catch(({ code }) => code)
          const changed = next(alice, 'user')
          await bob.changeProfile({ nickname: 'Bobby' })
          await changed
          return {
            heard: (await heard).message,
            echo: echo.sender === alice.userId,
            dialog: (await got).clientData,
            delivered: outcome.receiver === userId,
            nobody,
            nickname: alice.users.get(userId).nickname,
            history: (await bob.history()).map(({ message }) => message),
            avatar: await bob.saveAvatar('AAAA').catch(({ code }) => code),
          }
        }""",
        tokens(stage, daemon, "alice", "bob"),
    )
    assert told == {
        "heard": "Hello all",
        "echo": True,
        "dialog": {"secret": ["x"]},
        "delivered": True,
        "nobody": "not-delivered",
        "nickname": "Bobby",
        "history": ["Hello all"],
        "avatar": "2",
    }


@story
def test_market(stage: Stage, daemon: DaemonProcess) -> None:
    """A service is agreed upon, one side speaking text and the other binary."""
    page = enter(stage, daemon)
    told = ask(
        page,
        """async (tokens) => {
          const alice = await open(new client.Market(here, tokens[0]))
          const bob = await open(new client.Market(here, tokens[1], { form: 'binary' }))
          const heard = next(bob, 'message')
          const to = Number(client.userIdOf(tokens[1]))
          const message = await alice.say({ to }, 'Is it still free?').done
          const { conversation } = await heard
          const seen = next(alice, 'seen')
          bob.opened(conversation)
          const offered = next(bob, 'services')
          alice.createService(conversation, { title: 'Garden', price: 40 })
          const [service] = (await offered).services
          const agreed = next(alice, 'services', ({ services }) => services[0].status === 'agreed')
          bob.endNegotiation(conversation, service.id)
          const fault = next(bob, 'fault')
          bob.editPrice(conversation, service.id, 1)
          const pinged = new Promise((resolve) => {
            let count = 0
            bob.onframe = (direction, raw, { opcode }) => {
              if (opcode === client.OPCODES.PONG && ++count === 2) resolve([direction, raw.length])
            }
          })
          return {
            seen: (await seen).message === message.id,
            service: [service.title, service.price, service.status],
            agreed: (await agreed).services[0].status,
            fault: (await fault).code,
            pong: await pinged,
            list: (await alice.conversations()).map((each) => each.with.username),
            binary: (await bob.conversations()).map((each) => each.with.username),
          }
        }""",
        tokens(stage, daemon, "alice", "bob"),
    )
    assert told == {
        "seen": True,
        "service": ["Garden", "40.00", "negotiating"],
        "agreed": "agreed",
        "fault": "not-allowed",
        "pong": ["out", 1],
        "list": ["bob"],
        "binary": ["alice"],
    }


@story
def test_workspace(stage: Stage, daemon: DaemonProcess) -> None:
    """A channel, a message, who is there; by event and by HTTP."""
    page = enter(stage, daemon)
    told = ask(
        page,
        """async (tokens) => {
          const [alice, bob] = await Promise.all(tokens.map((token) => open(new client.Workspace(here, token))))
          const made = next(bob, 'channel-created')
          const channel = await alice.createChannel('general')
          const heard = next(bob, 'message-created')
          await alice.send(channel.id, 'Hello').done
          const status = next(bob, 'online-status-updated', ({ onlineStatus }) => onlineStatus === 'idle')
          await alice.setStatus('idle')
          return {
            made: (await made).name,
            heard: (await heard).text,
            status: (await status).userId === alice.userId,
            newest: (await bob.channels({ limit: 1 })).channels[0].name,
            messages: (await bob.messages(channel.id)).messages.map(({ text }) => text),
            members: (await bob.members()).members.length,
            refused: await alice.createChannel('x').catch(({ message }) => message),
            nowhere: await bob.send('999', 'x').done.catch(({ message }) => message),
          }
        }""",
        tokens(stage, daemon, "alice", "bob"),
    )
    assert told == {
        "made": "general",
        "heard": "Hello",
        "status": True,
        "newest": "general",
        "messages": ["Hello"],
        "members": 4,
        "refused": 'Invalid data format for "channel-create" event',
        "nowhere": "Not found",
    }


class Way:
    """What lies between a page and the server: it can lose frames, and connections with them."""

    def __init__(self, page: Page) -> None:
        self.lose: str | None = None
        self.lost: list[str] = []
        self._page = page
        page.route_web_socket("**/*", self._relay)

    def _relay(self, route: WebSocketRoute) -> None:
        server = route.connect_to_server()

        def between(send: Callable[[str | bytes], None]) -> Callable[[str | bytes], None]:
            def arrived(frame: str | bytes) -> None:
                if self.lose is not None and isinstance(frame, str) and self.lose in frame:
                    self.lose = None
                    self.lost.append(frame)
                    server.close()
                    route.close(code=1012)
                else:
                    send(frame)

            return arrived

        route.on_message(between(server.send))
        server.on_message(between(route.send))


@story
def test_server_killed(stage: Stage) -> None:
    """What is said while the server is away goes out when it is back, by itself, once."""
    daemon = stage.start()
    page = enter(stage, daemon)
    ask(
        page,
        """async (tokens) => {
          const [alice, bob] = tokens
          globalThis.all = {
            support: await open(new client.Support(here, alice)),
            messenger: await open(new client.Messenger(here, alice)),
            market: await open(new client.Market(here, alice)),
            workspace: await open(new client.Workspace(here, alice)),
          }
          globalThis.bob = client.userIdOf(bob)
          globalThis.channel = await all.workspace.createChannel('general')
          globalThis.seen = []
          all.support.addEventListener('state', ({ detail }) => seen.push(detail))
          globalThis.waiting = Promise.all(Object.values(all).map((each) => state(each, 'waiting')))
        }""",
        tokens(stage, daemon, "alice", "bob"),
    )
    stage.kill(daemon)
    ask(
        page,
        """async () => {
          await waiting
          globalThis.said = {
            support: all.support.send('Meanwhile'),
            messenger: all.messenger.dialog(bob, 'Meanwhile'),
            market: all.market.say({ to: Number(bob) }, 'Meanwhile'),
            workspace: all.workspace.send(channel.id, 'Meanwhile'),
          }
          const states = new Set(Object.values(said).map(({ state }) => state))
          if ([...states].join() !== 'queued') throw new Error([...states])
          globalThis.back = Promise.all(Object.values(all).map((each) => state(each, 'open')))
        }""",
    )
    daemon = stage.restart(daemon)
    told = ask(
        page,
        """async () => {
          const hurry = setInterval(() => dispatchEvent(new Event('online')), 250)
          await back
          clearInterval(hurry)
          const { support, market, workspace } = said
          const done = await Promise.all([support.done, market.done, workspace.done])
          const receiver = await open(new client.Messenger(here, await client.signIn(here, 'bob', 'bob')))
          await said.messenger.done
          return {
            done: [done[0].message_text, done[1].content, done[2].text],
            history: (await all.support.history()).map(({ message_text: text }) => text),
            messages: (await all.workspace.messages(channel.id)).messages.map(({ text }) => text),
            list: (await all.market.conversations())[0].messages.map(({ content }) => content),
            outboxes: Object.values(all).map(({ outbox }) => outbox.length),
            states: seen.map(({ state }) => state),
            delays: seen.flatMap(({ seconds }) => seconds ?? []),
          }
        }""",
    )
    delays, states = told.pop("delays"), told.pop("states")
    assert told == {
        "done": ["Meanwhile"] * 3,
        "history": ["Meanwhile"],
        "messages": ["Meanwhile"],
        "list": ["Meanwhile"],
        "outboxes": [0, 0, 0, 0],
    }
    assert states[0] == "waiting"
    assert states[-2:] == ["connecting", "open"]
    assert all(0.25 * 2**n <= delay <= 0.5 * 2**n for n, delay in enumerate(delays)), delays


@story
def test_acknowledgements_lost(stage: Stage, daemon: DaemonProcess) -> None:
    """What was not acknowledged is said again where the server knows it again: it is there, and once."""
    page = stage.visit(f"http://127.0.0.1:{daemon.port}/")
    way = Way(page)
    page.evaluate(_HELPERS)
    ask(
        page,
        """async (tokens) => {
          globalThis.market = await open(new client.Market(here, tokens[0]))
          globalThis.workspace = await open(new client.Workspace(here, tokens[0]))
          globalThis.support = await open(new client.Support(here, tokens[0]))
          globalThis.messenger = await open(new client.Messenger(here, tokens[0]))
          globalThis.bob = await open(new client.Messenger(here, tokens[1]))
          globalThis.channel = await workspace.createChannel('general')
          globalThis.to = Number(client.userIdOf(tokens[1]))
          globalThis.heard = []
          bob.addEventListener('dialog', ({ detail }) => heard.push(detail.clientData))
        }""",
        tokens(stage, daemon, "alice", "bob"),
    )
    for lost, saying in (
        ('"sent":true', "market.say({ to }, 'Once').done.then(({ content }) => content)"),
        ('"createdAt"', "workspace.send(channel.id, 'Once').done.then(({ text }) => text)"),
        ('"message":{', "support.send('Once').done.then(({ message_text: text }) => text)"),
        ('"DELIVERY_MESSAGE"', "messenger.dialog(String(to), 'Once').done.then(() => 'Once')"),
    ):
        way.lose = lost
        assert ask(page, f"() => {saying}") == "Once", lost
        assert way.lose is None, lost
    told = ask(
        page,
        """async () => ({
          market: (await market.conversations())[0].messages.filter(({ content }) => content === 'Once').length,
          workspace: (await workspace.messages(channel.id)).messages.length,
          support: (await support.history()).filter(({ message_text: text }) => text === 'Once').length,
          heard,
        })""",
    )
    assert told == {"market": 1, "workspace": 1, "support": 1, "heard": ["Once"]}
    # What did not arrive at all, support can't tell from what did, but by its history: it is for the user.
    way.lose = "Never arrives"
    told = ask(
        page,
        """async () => {
          const back = state(support, 'open')
          const lost = support.send('Never arrives')
          await back
          const then = [lost.state, support.outbox.length]
          support.retry(lost)
          await lost.done
          const blank = support.send('Not this')
          await blank.done
          return [...then, lost.state, support.outbox.length]
        }""",
    )
    assert told == ["unsent", 1, "stored", 0]


@story
def test_recovery(stage: Stage, daemon: DaemonProcess) -> None:
    """What was missed in workspace comes back, once; who looks again does not wait for the next try."""
    page = stage.visit(f"http://127.0.0.1:{daemon.port}/")
    way = Way(page)
    page.evaluate(_HELPERS)
    ask(
        page,
        """async (tokens) => {
          globalThis.alice = await open(new client.Workspace(here, tokens[0]))
          globalThis.bob = await open(new client.Workspace(here, tokens[1]))
          globalThis.channel = await alice.createChannel('general')
          const first = next(bob, 'message-created')
          await alice.send(channel.id, 'first').done
          await first
          globalThis.heard = []
          bob.addEventListener('message-created', ({ detail }) => heard.push(detail.text))
          bob.addEventListener('ready', ({ detail }) => heard.push(detail.recovered))
        }""",
        tokens(stage, daemon, "alice", "bob"),
    )
    way.lose = '"online-status"'
    told = ask(
        page,
        """async () => {
          const waiting = state(bob, 'waiting')
          bob.setStatus('idle').catch(() => {})
          await waiting
          for (const text of ['second', 'third']) await alice.send(channel.id, text).done
          const before = bob.state
          const opened = state(bob, 'open')
          dispatchEvent(new Event('online'))
          const after = bob.state
          await opened
          await alice.send(channel.id, 'fourth').done
          while (!heard.includes('fourth')) await next(bob, 'message-created')
          return { before, after, heard }
        }""",
    )
    assert told["heard"] == [True, "second", "third", "fourth"]
    assert (told["before"], told["after"]) in (("waiting", "connecting"), ("connecting", "connecting"))


@story
def test_refused(stage: Stage, daemon: DaemonProcess) -> None:
    """A token that is not good ends each connection, with a reason, whatever way the protocol says it."""
    stage.expected += ["WebSocket connection to", "status of 40[14]"]
    page = enter(stage, daemon)
    told = ask(
        page,
        """async (wrong) => {
          const { Talk, Support, Messenger, Market, Workspace } = client
          const connections = [Talk, Support, Messenger, Market, Workspace].map((each) => new each(here, wrong))
          connections.push(new Talk(here, 'no subprotocol'))
          const ended = connections.map((each) => state(each, 'ended'))
          for (const each of connections) each.connect()
          return (await Promise.all(ended)).map(({ code, reason }) => [code, reason !== ''])
        }""",
        "eyJhbGciOiJub25lIn0.e30.x",
    )
    assert told == [[4401, True]] * 6


@story
def test_replaced(stage: Stage, daemon: DaemonProcess) -> None:
    """Who is replaced by a newer connection does not come back and fight for the place; who leaves is gone."""
    page = enter(stage, daemon)
    told = ask(
        page,
        """async (token) => {
          const pair = [new client.Talk(here, token), new client.Talk(here, token)]
          const ends = pair.map((each) => state(each, 'ended').then(({ code }) => [each, code]))
          await Promise.all(pair.map(open))
          const [replaced, code] = await Promise.race(ends)
          const other = pair.find((each) => each !== replaced)
          const states = [replaced.state, other.state]
          other.close()
          for (const each of pair) each.addEventListener('state', ({ detail }) => states.push(detail.state))
          await new Promise((resolve) => setTimeout(resolve, 1000))
          return { code, states, last: other.state }
        }""",
        stage.token(daemon, "alice"),
    )
    assert told == {"code": 4409, "states": ["ended", "open"], "last": "ended"}
