"""The trainer: `grpo` and `following` are all that knows TRL, `pretrain` makes the tiny model."""
