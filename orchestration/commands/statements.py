"""The command that asks for statements and answers on risk."""

import getpass
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from almanac.core.errors import UseCaseError
from almanac.core.files import write_text
from almanac.usecase import load
from orchestration.commands.options import UseCaseFile, command_app, example
from orchestration.statements_check import check_draft
from orchestration.statements_form import Question, form, insert, questions, read_form

app = command_app()


@app.command(epilog=example("almanac statements usecases/demand.yaml --form statements.yaml"))
def statements(
    usecase: UseCaseFile,
    to_form: Annotated[Path | None, typer.Option("--form", help="Write a form to fill in to this file.")] = None,
    from_form: Annotated[Path | None, typer.Option("--from", help="Read the answers from a form.")] = None,
    author: Annotated[str, typer.Option(help="Author of the statements; this user by default.")] = "",
) -> None:
    """Ask for the statements and answers on risk that documents need, and write them to the file."""
    case = load(usecase)
    check_draft(case)
    asked = questions(case)
    if not asked:
        typer.echo(f"{usecase}: everything is stated")
        return
    if to_form is not None:
        if to_form.exists():
            raise UseCaseError(f"{to_form}: exists already; give another file")
        write_text(to_form, form(usecase, case))
        typer.echo(f"{to_form}: a form of {len(asked)} fields; then: almanac statements {usecase} --from {to_form}")
        return
    answers = read_form(from_form) if from_form is not None else _ask(asked, author or getpass.getuser())
    left = questions(insert(usecase, answers)) if answers else asked
    typer.echo(f"{usecase}: {len(asked) - len(left)} of {len(asked)} stated" + (", a draft" if left else ""))


def _ask(asked: list[Question], author: str) -> dict[str, Any]:
    """Return the answers that a person types; an empty line leaves a field open, and an end of input the rest."""
    answers: dict[str, Any] = {}
    typer.echo("An empty line leaves a field open; Ctrl-D ends.")
    for number, question in enumerate(asked, start=1):
        try:
            answer = _answer(question, f"({number}/{len(asked)}) {question.field}: {question.text}")
        # What was typed before is kept.
        except (typer.Abort, EOFError):
            break
        if answer in (None, ""):
            continue
        statement = question.field.startswith("statements.")
        answers[question.field] = {"text": answer, "author": author, "date": date.today()} if statement else answer
    return answers


def _answer(question: Question, prompt: str) -> bool | str | None:
    allowed = {str(one).lower(): one for one in question.allowed}
    if allowed:
        prompt += f" [{', '.join(allowed)}]"
    while True:
        text: str = typer.prompt(prompt, default="", show_default=False, prompt_suffix="\n> ").strip()
        if not text or not allowed:
            return text
        if text.lower() in allowed:
            return allowed[text.lower()]
        typer.echo(f"expected one of {', '.join(allowed)}", err=True)
