"""The operator's page: HTML made on the server from the functions that the API calls. It holds no truth.

pages    what every page shares: templates, headers, errors as pages
people   who looks, and what they may do          forms     form bodies, and forms made from a JSON Schema
run      TimelineLive: a run, its poll            timeline  rows and bars of it
sheet    ArtifactSheet: what a step left behind   exhibits  plans, diffs, JUnit, JSON as rows
actions  what a person does to a run              board     /ops and its batches
recipes  recipes, and a start                     drawing   a recipe as a drawing
charts   the last hour                            formats   durations, times, sizes as text
login    a token becomes a cookie                 assets    style sheet, script, htmx from its package
"""

from __future__ import annotations

from fastapi import APIRouter

from . import actions, assets, board, charts, login, recipes, run, sheet

ROUTERS: tuple[APIRouter, ...] = (
    run.router,
    sheet.router,
    actions.router,
    board.router,
    recipes.router,
    charts.router,
    login.router,
    assets.router,
)
