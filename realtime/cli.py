"""The ``realtime`` command: accounts, tokens, migrations, settings, load tests; with or without a daemon."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from realtime import __version__, config
from realtime.accounts.authentication import token_of
from realtime.accounts.passwords import Passwords
from realtime.accounts.store import Account, AccountStore
from realtime.market.report_store import Report
from realtime.market.store import MarketStore
from realtime.settings import Settings
from realtime.storage.database import Database
from realtime.storage.errors import Conflict, StorageError
from realtime.storage.migrate import migrate as migrate_database

_REPORTS_AT_ONCE = 100


class _Context:
    """The settings that the command works with, read when they are first needed."""

    def __init__(self, path: str | None) -> None:
        self._path = path

    def settings(self) -> Settings:
        return _settings(self._path)

    def run(self, work: Callable[[AccountStore, Passwords], Awaitable[None]]) -> None:
        """Run ``work`` with the accounts of the database, which is migrated first."""
        from realtime import wiring  # not for commands that need no database

        async def with_passwords(database: Database, reactor: Any) -> None:
            passwords = wiring.password_checker(self.settings(), reactor)
            passwords.start()
            try:
                await work(AccountStore(database), passwords)
            finally:
                await passwords.stop()

        self.run_with_database(with_passwords)

    def run_with_database(self, work: Callable[[Database, Any], Awaitable[None]]) -> None:
        """Run ``work`` with the database, which is migrated first, and the reactor."""
        from realtime import wiring

        settings = self.settings()
        _migrate(settings)

        async def main(reactor: Any) -> None:
            database = wiring.open_database(settings, reactor)
            await database.start()
            try:
                await work(database, reactor)
            except (StorageError, ValueError) as error:
                _fail(str(error))
            finally:
                await database.stop()

        react(lambda reactor: Deferred.fromCoroutine(main(reactor)))


@click.group()
@click.option("--config", "path", type=click.Path(), help="TOML file with the settings.")
@click.version_option(__version__)
@click.pass_context
def main(context: click.Context, path: str | None) -> None:
    """Manage the accounts and the settings of a realtime server."""
    context.obj = _Context(path)


@main.command("check-config")
@click.argument("path", type=click.Path())
def check_config(path: str) -> None:
    """Say whether the server would start with the settings in PATH."""
    from twisted.internet import reactor

    from realtime import wiring

    try:
        wiring.check(config.load(path, environment=os.environ), reactor)
    except config.ConfigurationError as error:
        _fail(str(error))
    click.echo(f"{path}: good")


@main.command("default-config")
def default_config() -> None:
    """Print every setting with its default and its meaning."""
    click.echo(config.render(Settings()), nl=False)


@main.command("asyncapi")
@click.argument("protocol", type=click.Choice(["talk", "workspace", "market", "messenger", "support"]))
def asyncapi_document(protocol: str) -> None:
    """Print the AsyncAPI document of PROTOCOL."""
    from realtime.documents import yaml
    from realtime.documents.asyncapi import asyncapi
    from realtime.protocols.documents import DESCRIBED

    click.echo(yaml.dump(asyncapi(DESCRIBED[protocol]())), nl=False)


@main.command("openapi")
def openapi_document() -> None:
    """Print the OpenAPI document of the HTTP side, with all protocols."""
    from realtime.protocols.documents import DESCRIBED, describe, openapi_of

    click.echo(msgspec.json.format(msgspec.json.encode(openapi_of(describe(DESCRIBED)))))


@main.command()
@click.pass_obj
def migrate(context: _Context) -> None:
    """Bring the database to the state that this version needs."""
    _migrate(context.settings())
    click.echo("the database is up to date")


@main.group()
def user() -> None:
    """Manage accounts."""


@user.command("add")
@click.argument("name")
@click.option("--admin", is_flag=True, help="An operator, who may manage others.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.pass_obj
def user_add(context: _Context, name: str, admin: bool, password_stdin: bool) -> None:
    """Add an account."""
    password = _ask_password(from_stdin=password_stdin)

    async def work(accounts: AccountStore, passwords: Passwords) -> None:
        try:
            added = await accounts.add(name, await passwords.hash(password), is_admin=admin)
        except Conflict:
            _fail(f"there is a user {name} already")
        click.echo(f"user {added.id}: {added.name}")

    context.run(work)


@user.command("password")
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.pass_obj
def user_password(context: _Context, name: str, password_stdin: bool) -> None:
    """Change a password, which ends the tokens that the user has from this server."""
    password = _ask_password(from_stdin=password_stdin)

    async def work(accounts: AccountStore, passwords: Passwords) -> None:
        account = await _find(accounts, name)
        await accounts.set_password(account.user.id, await passwords.hash(password))
        click.echo(f"the password of {name} is changed")

    context.run(work)


@user.command("list")
@click.pass_obj
def user_list(context: _Context) -> None:
    """List all accounts: id, name, and "admin" for operators."""

    async def work(accounts: AccountStore, passwords: Passwords) -> None:
        for account in await accounts.all():
            who = account.user
            click.echo(f"{who.id}\t{who.name}\t{'admin' if who.is_admin else ''}".rstrip())

    context.run(work)


@main.command()
@click.argument("name")
@click.option("--revoke", is_flag=True, help="End all tokens of the user instead.")
@click.pass_obj
def token(context: _Context, name: str, revoke: bool) -> None:
    """Print a token for the user NAME, which every protocol accepts."""
    from twisted.internet import reactor

    from realtime import wiring

    signer = None
    if not revoke:
        try:
            signer = wiring.token_signer(context.settings(), reactor.seconds)
        except ValueError as error:
            _fail(str(error))

    async def work(accounts: AccountStore, passwords: Passwords) -> None:
        account = await _find(accounts, name)
        if signer is None:
            await accounts.revoke(account.user.id)
            click.echo(f"the tokens of {name} are revoked")
            return
        value = await accounts.token_for(account.user.id)
        if value is None:
            _fail(f"there is no user {name}")
        click.echo(token_of(account.user, value, signer))

    context.run(work)


@main.group()
def report() -> None:
    """See what users of the market have reported."""


@report.command("list")
@click.option("--all", "everything", is_flag=True, help="Those that are resolved too.")
@click.pass_obj
def report_list(context: _Context, everything: bool) -> None:
    """List reports, newest first: id, when, by whom, of what, why."""

    async def work(database: Database, reactor: Any) -> None:
        store = MarketStore(database)
        before = None
        while found := await store.reports(before, _REPORTS_AT_ONCE, unresolved_only=not everything):
            for each in found:
                click.echo(_in_one_line(each))
            before = found[-1].id

    context.run_with_database(work)


@report.command("resolve")
@click.argument("report_id", type=click.IntRange(1, 2**32 - 1))
@click.pass_obj
def report_resolve(context: _Context, report_id: int) -> None:
    """Mark a report as resolved."""

    async def work(database: Database, reactor: Any) -> None:
        resolved = await MarketStore(database).resolve(report_id, None, int(reactor.seconds() * 1000))
        if resolved is None:
            _fail(f"there is no report {report_id}")
        click.echo(_in_one_line(resolved))

    context.run_with_database(work)


@main.command(context_settings={"show_default": True})
@click.argument("protocol", type=click.Choice(["talk", "workspace", "market", "messenger", "support"]))
@click.option("--url", default="ws://127.0.0.1:8080", help="The server's address.")
@click.option("--clients", type=click.IntRange(2), default=100, help="How many connect.")
@click.option("--ramp", type=click.FloatRange(0), default=5.0, help="Seconds until all have.")
@click.option("--duration", type=click.FloatRange(1), default=30.0, help="Seconds after that.")
@click.option("--rate", type=click.FloatRange(0.1), default=100.0, help="Messages a second, of all together.")
@click.option("--users-file", type=click.Path(exists=True), help="A users.jsonl; without it users are made.")
@click.option("--output", type=click.Path(), default="loadtest", help="The folder for what is written.")
@click.pass_obj
def loadtest(context: _Context, /, users_file: str | None, output: str, **given: Any) -> None:
    """Load a server with clients of PROTOCOL, and say how fast messages arrive."""
    from realtime.client import ClientError
    from realtime.loadtest import command, people

    plan = command.Plan(**given)
    folder = Path(output)
    who = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if users_file is not None:
            who = command.who(plan, people.read(Path(users_file)))
    except (OSError, ValueError) as error:
        _fail(str(error))

    async def drive(who: command.People, reactor: Any) -> None:
        try:
            command.write(folder, plan, await command.run_and_show(plan, who, reactor))
        except (ClientError, OSError, ValueError) as error:
            _fail(str(error) or type(error).__name__)

    async def make_and_drive(database: Database, reactor: Any) -> None:
        from realtime import wiring

        signer = wiring.token_signer(context.settings(), reactor.seconds)
        made = await people.make(AccountStore(database), signer, plan.clients, command.admins_for(plan))
        people.write(folder / "users.jsonl", made)
        await drive(command.who(plan, made), reactor)

    if who is None:
        context.run_with_database(make_and_drive)
    else:
        there = who
        react(lambda reactor: Deferred.fromCoroutine(drive(there, reactor)))


def _in_one_line(each: Report) -> str:
    when = datetime.fromtimestamp(each.created // 1000, UTC).isoformat().replace("+00:00", "Z")
    what = each.kind if each.object is None else f"{each.kind} {each.object}"
    # A reason is a stranger's text: nothing in it may command a terminal, or begin a line of its own.
    why = "".join(letter if letter.isprintable() else " " for letter in each.reason or "")
    fields = [str(each.id), when, each.reporter.username, what, "resolved" if each.resolved else "", why]
    return "\t".join(fields).rstrip()


def _settings(path: str | None) -> Settings:
    try:
        return config.load(path, environment=os.environ)
    except config.ConfigurationError as error:
        _fail(str(error))


def _migrate(settings: Settings) -> None:
    try:
        migrate_database(settings.database.url, log=lambda line: click.echo(line, err=True))
    except (StorageError, ValueError) as error:
        _fail(str(error))


def _ask_password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password


async def _find(accounts: AccountStore, name: str) -> Account:
    account = await accounts.by_name(name)
    if account is None:
        _fail(f"there is no user {name}")
    return account


def _fail(reason: str) -> NoReturn:
    click.echo(f"realtime: {reason}", err=True)
    raise SystemExit(1)
