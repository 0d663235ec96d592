"""The trainer: `grpo` is the one file that knows TRL, `pretrain` makes the tiny base model."""
