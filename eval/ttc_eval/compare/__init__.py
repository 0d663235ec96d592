"""What lies behind a gain: skill or format, one answer or many, training or voting.

Pure functions over the rows of MODEL.tasks.jsonl; summary.json holds what they return under
`analysis`, and the report shows it. What cannot be said is a sentence under `refused`.
"""

from ttc_eval.compare.behind import analyse, is_counted
from ttc_eval.compare.equal_compute import Spending, curve_points, equal_compute
from ttc_eval.compare.spending import arm_spending

__all__ = ["Spending", "analyse", "arm_spending", "curve_points", "equal_compute", "is_counted"]
