"""Matching and staging in Python, with the same answers as the engines; always there."""

from __future__ import annotations

from .match import match, match_tasks_to_offers, place
from .stage import stage, submit_stage

__all__ = ["match", "match_tasks_to_offers", "place", "stage", "submit_stage"]
