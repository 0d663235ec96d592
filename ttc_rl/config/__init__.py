"""Recipes: YAML 1.2 in, a frozen and fully typed `Recipe` out, or one clear line of error.

Precedence: command line, then the recipe, then its parent (`extends:`, one level), then defaults.
Code outside this room imports these names from here.
"""

# An `__all__` would only repeat the imports.
# pyright: reportUnusedImport=false

from ttc_rl.config.corpus import (
    ORIGINS,
    ConditionConfig,
    DedupeConfig,
    EmbedConfig,
    EverydayConfig,
    OverlapConfig,
    Shape,
    SkillsConfig,
    SourceConfig,
)
from ttc_rl.config.evaluation import EngineConfig, EvalConfig, JudgeConfig, SamplingConfig
from ttc_rl.config.loading import dump_recipe, load_recipe, make_recipe, with_keys
from ttc_rl.config.policy import PolicyConfig
from ttc_rl.config.recipe import (
    HubConfig,
    ModelConfig,
    PreflightConfig,
    PretrainConfig,
    Recipe,
    TargetSources,
    TrackConfig,
    WarmupConfig,
)
from ttc_rl.config.reference import reference
from ttc_rl.config.resuming import differences
from ttc_rl.config.section import Section, is_own, merge
from ttc_rl.config.selection import (
    DifficultyConfig,
    LessConfig,
    SelectionConfig,
    StopConfig,
    VariantsConfig,
)
from ttc_rl.config.study import StudyConfig
from ttc_rl.config.train import (
    SERVER_URL,
    AdapterConfig,
    CurriculumConfig,
    DevConfig,
    ExpertsConfig,
    GuardConfig,
    SvfConfig,
    TrainConfig,
    VllmConfig,
    WatchdogConfig,
)
from ttc_rl.config.trl_fields import config_fields
