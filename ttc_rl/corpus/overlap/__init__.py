"""Keep the test out of the training set, and prove it: nothing selected is a target.

rules        by text, before selection: exact, content, ngram, fuzzy
near         by embedding, before selection: cosine, and leaving each target's nearest out
dedupe       tasks that repeat one another inside the corpus
certificate  after selection: how close every target is to what was chosen, exhaustively
"""

from ttc_rl.corpus.overlap.records import OverlapResult, Removed, Rule
from ttc_rl.corpus.overlap.rules import remaining_overlap, remove_overlap

__all__ = ["OverlapResult", "Removed", "Rule", "remaining_overlap", "remove_overlap"]
