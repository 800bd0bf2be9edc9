"""facesets consent: record that a person agreed to be generated, look at their set, or withdraw it."""

from __future__ import annotations

import webbrowser

import click

from facesets.cli import App, json_option
from facesets.errors import UsageError
from facesets.registry import exports
from facesets.targets import Pictures, find, make_contact_sheet
from facesets.targets import consent as agreed
from facesets.wording import moment_of


@click.command()
@click.argument("name", metavar="SET|NAME")
@click.option("--by", default="", metavar="WHO", help="Who says so: your name.")
@click.option("--adult", is_flag=True, help="The person agreed, and is an adult.")
@click.option("--looked", is_flag=True, help="You looked at the contact sheet of the set as it is now.")
@click.option("--show", is_flag=True, help="Make the contact sheet and open it.")
@click.option("--withdraw", is_flag=True, help="Withdraw the agreement; lists the exports that were made.")
@json_option
@click.pass_obj
def consent(app: App, name: str, by: str, adult: bool, looked: bool, show: bool, withdraw: bool) -> None:
    """Record that a person agreed to be used for generating or swapping faces, and is an adult.

    Exports to lora, fsz, reactor, folder, imagefolder and parquet ask for it. Where no birth date says how old somebody is in a photo,
    look at the set's contact sheet first (--show, then --looked). Without an option: what is recorded.
    """
    if sum((adult, show, withdraw)) > 1 or (looked and not adult):
        raise UsageError("one at a time: --show, then --by NAME --adult [--looked], or --withdraw")
    workspace = app.workspace()
    with workspace.lock(), workspace.registry() as registry:
        person = find(registry, name)
        if show:
            with Pictures(workspace, registry, app.progress) as pictures:
                path = make_contact_sheet(workspace, registry, person, pictures)
            opened = not app.as_json and webbrowser.open(path.as_uri())
            sheet = {"set": person.set_name, "person": person.number, "contact_sheet": str(path)}
            unopened = "" if opened else "\nNo browser could be started here; open that file in one."
            app.answer(sheet, lambda: f"contact sheet of {person.set_name}: {path}{unopened}")
            return
        gone: list[dict[str, object]] = []
        if withdraw:
            gone = agreed.withdraw(registry, person, by=by)
        elif adult:
            agreed.give(registry, person, by=by, looked=looked)
        elif by:
            raise UsageError("--by goes with --adult, which says that the person agreed and is an adult")
        recorded = agreed.recorded(registry, person)
        holds = agreed.was_looked_at(registry, person, recorded)
    document = {
        "set": person.set_name, "person": person.number, "name": person.name,
        "consent": recorded and {"by": recorded.by, "at": recorded.at}, "looked_at_as_it_is": holds, "exports": gone,
    }  # fmt: skip
    app.answer(document, lambda: _text(person, recorded, gone, holds=holds))


def _text(person: exports.Person, recorded: agreed.Consent | None, gone: list[dict[str, object]], *, holds: bool) -> str:
    who = f"{person.name} ({person.set_name})" if person.name else person.set_name
    lines = [f"{who}: no agreement is recorded"]
    if recorded:
        looked = "its contact sheet was looked at as it is now" if holds else "its contact sheet was not looked at as it is now"
        lines = [f"{who}: agreed and is an adult, says {recorded.by} ({recorded.at[:10]}); {looked}"]
    if gone:
        lines += [
            "exports made before, which nothing here can call back:",
            *(f"  {one['target']}, {one['place']}, {moment_of(str(one['at']))}" for one in gone),
        ]
    return "\n".join(lines)
