"""The seminar as a page: chapters that run, with their pictures, numbers, verdicts and recipes."""

from measureflow.report.page import Page
from measureflow.report.seminar import chapters, write_report
from measureflow.report.stage import Stage, settings, show, show_claim, table

__all__ = ["Page", "Stage", "chapters", "settings", "show", "show_claim", "table", "write_report"]
