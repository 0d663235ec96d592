"""Recipes: YAML 1.2 in, a frozen and fully typed `Recipe` out, or one clear line of error.

Precedence: command line, then the recipe, then its parent (`extends:`, one level), then defaults.
"""

from ttc_rl.config.loading import dump_recipe, load_recipe, make_recipe, with_keys
from ttc_rl.config.sections import (
    AdapterConfig,
    DedupeConfig,
    DevConfig,
    DifficultyConfig,
    EmbedConfig,
    EngineConfig,
    EvalConfig,
    JudgeConfig,
    LessConfig,
    ModelConfig,
    OverlapConfig,
    PretrainConfig,
    Recipe,
    RewardName,
    SamplingConfig,
    Section,
    SelectionConfig,
    SkillsConfig,
    SourceConfig,
    StopConfig,
    TrackConfig,
    TrainConfig,
    VllmConfig,
)
from ttc_rl.config.trl_fields import grpo_config_fields

__all__ = [
    "AdapterConfig",
    "DedupeConfig",
    "DevConfig",
    "DifficultyConfig",
    "EmbedConfig",
    "EngineConfig",
    "EvalConfig",
    "JudgeConfig",
    "LessConfig",
    "ModelConfig",
    "OverlapConfig",
    "PretrainConfig",
    "Recipe",
    "RewardName",
    "SamplingConfig",
    "Section",
    "SelectionConfig",
    "SkillsConfig",
    "SourceConfig",
    "StopConfig",
    "TrackConfig",
    "TrainConfig",
    "VllmConfig",
    "dump_recipe",
    "grpo_config_fields",
    "load_recipe",
    "make_recipe",
    "with_keys",
]
