"""Handlers that ship with the program: one package a recipe, with its recipe.json, found by its folder."""
