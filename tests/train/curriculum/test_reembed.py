"""Embedding with the policy as it is: the same as from disk, and another once it has learnt."""

from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from ttc_rl.config import EmbedConfig, PretrainConfig
from ttc_rl.embed.encoders import encode_with, open_encoder
from ttc_rl.train.tiny_model import base_model

TEXTS = ["sort a b c", "write the secret message d e f in code", "c a"]
POLICY = EmbedConfig(model="policy")


@pytest.fixture(scope="module")
def path(cache: Path) -> Path:
    return base_model(PretrainConfig(layers=1, max_steps=5), 0, {})


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")  # asked by peft
@pytest.mark.parametrize("adapter", [False, True])
def test_a_model_in_training_embeds_as_it_would_from_disk(path: Path, adapter: bool):
    with open_encoder(POLICY, path) as encode:
        from_disk = encode(TEXTS)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    if adapter:
        layers = ["q_proj", "v_proj"]
        model = get_peft_model(model, LoraConfig(target_modules=layers, init_lora_weights=True))
    model.train()
    found = encode_with(model, path, TEXTS, POLICY)
    assert np.abs(found - from_disk).max() < 1e-6
    assert model.training
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if not adapter or "lora_B" in name:
                weight += 0.05 * torch.randn(weight.shape, generator=torch.manual_seed(0))
    assert np.abs(encode_with(model, path, TEXTS, POLICY) - from_disk).max() > 0.01
