"""Ways to change weights. Only these modules import TRL."""
