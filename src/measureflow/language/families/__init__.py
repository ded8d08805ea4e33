"""The families of checkpoints that can be read, one module and one table each."""

from measureflow.language.families.albert import ALBERT
from measureflow.language.families.bert import BERT
from measureflow.language.tables import Family

__all__ = ["FAMILIES"]

FAMILIES: dict[str, Family] = {family.name: family for family in (ALBERT, BERT)}
