"""`sisu recipe put | activate | list`: recipes as data."""

from __future__ import annotations

from typing import Any

import click

from . import render
from .given import parsed_file
from .runs import json_option, open_client


@click.group()
def recipe() -> None:
    """Recipes: what runs do, as data.

    \b
    Examples
      sisu recipe put greet.json
      sisu recipe put greet.json --draft
      sisu recipe activate greet 2
    """


@recipe.command()
@click.argument("file", type=click.File("r"))
@click.option("--draft", is_flag=True, help="Only store it; new runs keep taking the version they take now.")
@json_option
def put(file: Any, draft: bool, as_json: bool) -> None:
    """Store a recipe (a JSON file, or - for standard input) and activate it."""
    content = parsed_file(file.name, file)
    with open_client() as client:
        answer = client.put_recipe(content, activate=not draft)
    render.recipe_put(answer, draft, as_json)


@recipe.command()
@click.argument("name")
@click.argument("version", type=click.IntRange(1, 1_000_000), required=False)
@json_option
def activate(name: str, version: int | None, as_json: bool) -> None:
    """Make new runs take this version, the newest if none is named."""
    with open_client() as client:
        answer = client.activate_recipe(name, version)
    render.recipe_put({**answer, "isReplay": False}, False, as_json)


@recipe.command("list")
@json_option
def list_recipes(as_json: bool) -> None:
    """List recipe versions."""
    with open_client() as client:
        render.recipes(client.recipes(), as_json)
