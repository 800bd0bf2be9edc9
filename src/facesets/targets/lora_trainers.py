"""The settings files of four LoRA trainers for one folder of pictures, and the README that says how to start each. Pure."""

from __future__ import annotations

import json


def settings_files(folder: str, images: str, trigger: str, class_word: str, repeats: int, pictures: int) -> dict[str, str]:
    """Path below the folder -> text. ``folder``: where the trainer finds it; ``images``: the folder of pictures in it."""
    path = f"{folder}/{images}"
    return {
        "kohya.toml": _kohya(path, repeats),
        "ai-toolkit.yaml": _ai_toolkit(path, trigger),
        "concepts.json": _one_trainer(path, f"{trigger} {class_word}", repeats),
        "simpletuner.json": _simple_tuner(path, folder, repeats),
        "README.md": _readme(trigger, class_word, pictures, images),
    }


def _kohya(path: str, repeats: int) -> str:
    return f"""# sd-scripts: --dataset_config kohya.toml
[general]
caption_extension = ".txt"
enable_bucket = true
bucket_no_upscale = true
max_bucket_reso = 2048

[[datasets]]
resolution = 1024
batch_size = 1

  [[datasets.subsets]]
  image_dir = {json.dumps(path, ensure_ascii=False)}
  num_repeats = {repeats}
"""


def _ai_toolkit(path: str, trigger: str) -> str:
    return f"""# ai-toolkit: put this under config > process > datasets
trigger_word: {json.dumps(trigger, ensure_ascii=False)}
datasets:
  - folder_path: {json.dumps(path, ensure_ascii=False)}
    caption_ext: "txt"
    caption_dropout_rate: 0.05
    cache_latents_to_disk: true
    resolution: [512, 768, 1024]
"""


def _one_trainer(path: str, name: str, repeats: int) -> str:
    concept = {
        "__version": 2, "name": name, "path": path, "enabled": True, "type": "STANDARD", "include_subdirectories": False,
        "balancing": float(repeats), "balancing_strategy": "REPEATS",
        "text": {"prompt_source": "sample"},
    }  # fmt: skip
    return json.dumps([concept], indent=1, ensure_ascii=False) + "\n"


def _simple_tuner(path: str, folder: str, repeats: int) -> str:
    pictures = {
        "id": "person", "type": "local", "dataset_type": "image", "instance_data_dir": path, "cache_dir_vae": f"{folder}/cache/vae",
        "caption_strategy": "textfile", "crop": False, "resolution": 1024, "resolution_type": "pixel_area", "minimum_image_size": 512,
        "repeats": repeats,
    }  # fmt: skip
    texts = {"id": "text", "type": "local", "dataset_type": "text_embeds", "default": True, "cache_dir": f"{folder}/cache/text"}
    return json.dumps([pictures, texts], indent=1, ensure_ascii=False) + "\n"


def _readme(trigger: str, class_word: str, pictures: int, images: str) -> str:
    what = "1 picture" if pictures == 1 else f"{pictures} pictures"
    return f"""# Training folder

{what} in `{images}/`, each with a caption of one line beside it. The trigger is `{trigger} {class_word}`.

| trainer | file | how |
| --- | --- | --- |
| kohya sd-scripts | `kohya.toml` | `--dataset_config kohya.toml` |
| ai-toolkit | `ai-toolkit.yaml` | put its lines under `config > process` of your job |
| OneTrainer | `concepts.json` | load it in the tab *concepts* |
| SimpleTuner | `simpletuner.json` | name it as `data_backend_config`; batch size times accumulation must be below {pictures} |

Where the trainer sees this folder at another path (in a container, say), set `path` under `[targets.lora]` and export again.

To say more in captions, put a text beside each picture's name into `captions/` (`captions/<picture>.txt`) and export again: its line is
added. Captions that you edit in place are kept.

The person in these pictures agreed to this export, as `.facesets-export.json` one folder up records. What you train may be used for
what they agreed to, and nothing else.
"""
