"""The graph that backward passes walk: its nodes and edges."""

from ..edges import GradientEdge
from ..engine import Node


