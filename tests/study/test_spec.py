"""A study's TOML file is checked key by key, and each mistake is one line that says what would be right."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import pytest

from fewbits import StudyError
from fewbits.hardware import Accelerator
from fewbits.study import PRESETS, load_study
from fewbits.study.spec import (
    AcceleratorSection,
    CalibrationSection,
    FineTuneSection,
    FloatTrainingSection,
    MethodsSection,
    TrainingSection,
    parse_study,
    parse_toml,
)
from fewbits.train import RecipeOptions, TrainSettings

BASE = 'name = "s"\nmodels = ["lenet"]\ndata = ["digits"]\nprecisions = ["fixed8"]\n'

MISTAKES = {
    "misspelled key": ("seed = [1]", "unknown key 'seed': allowed here are .*; did you mean 'seeds'\\?"),
    "misspelled key in a table": ("[fine_tune]\nepoch = 3", "'fine_tune.epoch': .*; did you mean 'epochs'\\?"),
    "setting of float training for recipes": (
        "[fine_tune]\nbatch_normalization = true",
        "unknown key 'fine_tune.batch_normalization'",
    ),
    "unlike any key": ("zzz = 1", "unknown key 'zzz': allowed here are name, models"),
    "text for a number": ("[fine_tune]\nepochs = '3'", "'fine_tune.epochs': '3' was given; it must be a valid integer"),
    "number for a text": ("technology = 3", "'technology': 3 was given; it must be a valid string"),
    "one value for a list": ("seeds = 1", "'seeds': 1 was given; it takes a list"),
    "empty list": ("seeds = []", "'seeds': \\[\\] was given; it takes at least one entry"),
    "wrong entry of a list": ("seeds = [0, 'a']", "'seeds\\[1\\]': 'a' was given; it must be a valid integer$"),
    "negative seed": ("seeds = [-1]", "'seeds\\[0\\]': -1 was given"),
    "width of nothing": ("widen = [0.0]", "'widen\\[0\\]': 0.0 was given"),
    "repeated entry": ("seeds = [1, 1]", "1 is listed twice; give each once"),
    "unknown recipe": ("recipes = ['tune']", "'tune' was given; allowed are 'post-training', 'fine-tune'"),
    "unknown calibration": ("[calibration]\nmethod = 'max'", "allowed are 'maximum', 'percentile' or 'squared-error'"),
    "value for a table": ("fine_tune = 3", "write it as \\[fine_tune\\]"),
    "malformed": ("seeds = [", "malformed TOML: .*; see"),
    "key given twice": ("name = 'b'", "malformed TOML"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_that_says_what_is_allowed(mistake):
    text, message = MISTAKES[mistake]
    with pytest.raises(StudyError, match=f"^f.toml: .*{message}") as error:
        parse_toml(BASE + text, "f.toml")
    assert "\n" not in str(error.value)


TABLE = 'name = "s"\nmodels = ["lenet"]\nprecisions = ["fixed8"]\n[data]\nname = "digits"\n'

DATA_MISTAKES = {
    "misspelled key": (
        "meen = 0.5",
        r"unknown key 'data\[0\].meen': allowed here are name, mean, .*; did you mean 'mean'",
    ),
    "text for a mean": ("mean = 'grey'", r"'data\[0\].mean': 'grey' was given; it takes a finite number, or a list"),
    "text in a mean": ("mean = [0.5, '0.5']", r"'data\[0\].mean': \[0.5, '0.5'\] was given; it takes a finite number"),
    "truth value for a deviation": ("std = true", "it takes a finite number"),
    "no number": ("mean = nan", "nan was given; it takes a finite number"),
    "infinite deviation": ("std = [inf]", "it takes a finite number"),
    "empty list": ("std = []", "it takes a finite number"),
    "nothing held out": ("split = 0", r"'data\[0\].split': 0 was given; it must be greater than 0"),
    "more than all held out": ("split = 1.5", r"'data\[0\].split': 1.5 was given; it must be less than 1"),
    "a part that is no number": ("split = nan", "it must be "),
    "text for a part": ("split = '0.1'", "it must be a valid number"),
    "no classes": ("classes = 0", r"'data\[0\].classes': 0 was given; it must be greater than or equal to 1"),
    "half a class": ("classes = 2.5", "it must be a valid integer"),
    "a range of text": ("value_range = 'bytes'", "it takes a finite number"),
}


@pytest.mark.parametrize("mistake", DATA_MISTAKES)
def test_a_mistake_about_data_is_one_line(mistake):
    text, message = DATA_MISTAKES[mistake]
    with pytest.raises(StudyError, match=f"^f.toml: .*{message}") as error:
        parse_toml(TABLE + text, "f.toml")
    assert "\n" not in str(error.value)


def test_data_without_a_name_is_refused():
    with pytest.raises(StudyError, match=r"key 'data\[0\].name' is missing: \[data\[0\]\] needs it"):
        parse_toml(TABLE.replace('name = "digits"', "mean = 0.5"), "f.toml")


@pytest.mark.parametrize("entry", ["3", "''", "['digits']", "true"])
def test_data_that_is_neither_name_nor_table_is_refused(entry):
    with pytest.raises(StudyError, match=r"^f.toml: key 'data\[0\]"):
        parse_toml(BASE.replace('["digits"]', f"[{entry}]"), "f.toml")


def test_a_name_is_listed_once_whatever_is_stated():
    with pytest.raises(StudyError, match="'digits' is listed twice"):
        parse_toml(BASE.replace('["digits"]', '["digits", {name = "digits", mean = 0.5, std = 1}]'), "f.toml")


def test_data_is_a_list_of_names_a_table_or_tables():
    stated = {"mean": (0.5,), "std": 0.25, "classes": 12, "validation_fraction": 0.2, "value_range": (0, 1)}
    text = "mean = [0.5]\nstd = 0.25\nclasses = 12\nsplit = 0.2\nvalue_range = [0, 1]\n"
    one = parse_toml(TABLE + text, "f.toml")
    assert [(each.name, each.stated()) for each in one.data] == [("digits", stated)]
    several = parse_toml(TABLE.replace("[data]", "[[data]]") + text + "[[data]]\nname = 'mine.npz'", "f.toml")
    assert [(each.name, each.stated()) for each in several.data] == [("digits", stated), ("mine.npz", {})]
    mixed = parse_toml(BASE.replace('["digits"]', '["digits", {name = "a.npz", split = 0.5}]'), "f.toml")
    assert [(each.name, each.stated()) for each in mixed.data] == [
        ("digits", {}),
        ("a.npz", {"validation_fraction": 0.5}),
    ]


def test_a_definition_names_data_as_it_was_given():
    assert parse_toml(BASE, "f.toml").definition()["data"] == ["digits"]
    definition = parse_toml(TABLE + "mean = [0.5]\nstd = [0.25]", "f.toml").definition()
    assert definition["data"] == [{"name": "digits", "mean": [0.5], "std": [0.25]}]
    assert parse_study(definition, "again").definition() == definition


def test_a_missing_key_is_named():
    with pytest.raises(StudyError, match=r"key 'models' is missing: a study needs name, models, data and precisions"):
        parse_toml(BASE.replace("models", "#"), "f.toml")


def test_a_misspelled_key_comes_before_what_it_leaves_missing():
    with pytest.raises(StudyError, match=r"unknown key 'model'.*did you mean 'models'\? \(and 1 more\)"):
        parse_toml(BASE.replace("models", "model"), "f.toml")


def test_a_name_that_is_no_name_is_refused():
    with pytest.raises(StudyError, match=r"'\.\./s' was given; it takes letters"):
        parse_toml(BASE.replace('"s"', '"../s"'), "f.toml")


def test_long_values_are_cut_short():
    with pytest.raises(StudyError, match=r"xxx\.\.\. was given"):
        parse_toml(BASE + f"seeds = '{'x' * 999}'", "f.toml")


def test_deep_nesting_is_refused():
    with pytest.raises(StudyError, match=r"malformed TOML|seeds"):
        parse_toml(BASE + f"seeds = {'[' * 5000}{']' * 5000}", "f.toml")


def test_widths_multiply_the_models():
    spec = parse_toml(BASE.replace('"lenet"', '"lenet", "alex+"') + "widen = [1.0, 1.5]", "s.toml")
    assert spec.networks == ("lenet", "lenet*1.5", "alex+", "alex+*1.5")


def test_a_definition_comes_back_equal():
    spec = parse_toml(BASE + "seeds = [3]\n[fine_tune]\nepochs = 2", "f.toml")
    assert parse_study(spec.definition(), "store").definition() == spec.definition()


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_and_called_by_their_name(name):
    assert load_study(name).name == name


def test_the_presets_are_those_promised():
    assert {"default", "mnist", "svhn", "cifar10"} <= set(PRESETS)


def test_an_unknown_study_is_refused_with_the_nearest():
    with pytest.raises(StudyError, match=r"no study 'defualt': give one of .*did you mean 'default'"):
        load_study("defualt")


def test_a_folder_is_no_study(tmp_path):
    with pytest.raises(StudyError, match="is a folder, not a study"):
        load_study(tmp_path)


def test_a_binary_file_is_no_study(tmp_path):
    (tmp_path / "s.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StudyError, match="not UTF-8"):
        load_study(tmp_path / "s.toml")


def test_a_file_is_named_in_messages(tmp_path):
    (tmp_path / "s.toml").write_text(BASE)
    assert load_study(tmp_path / "s.toml").source == str(tmp_path / "s.toml")


def test_every_training_setting_is_a_key_and_every_key_a_setting():
    settings = {field.name for field in fields(TrainSettings)}
    calibration = {f"calibration_{name}" for name in CalibrationSection.model_fields}
    keys = {one: set(one.model_fields) for one in (TrainingSection, FloatTrainingSection, FineTuneSection)}
    assert set().union(*keys.values()) | calibration == settings
    assert keys[FloatTrainingSection] - keys[TrainingSection] == {"batch_normalization"}
    assert keys[FineTuneSection] - keys[TrainingSection] == {"equalize_channels"}


def test_every_option_of_a_recipe_is_a_key():
    assert set(MethodsSection.model_fields) == {field.name for field in fields(RecipeOptions)}


def test_every_parameter_of_the_accelerator_is_a_key():
    assert set(AcceleratorSection.model_fields) - {"preset", "file", "definition"} == {
        field.name for field in fields(Accelerator)
    }


def test_reading_a_study_loads_no_torch():
    program = "import sys, fewbits.study as s; s.load_study('default'); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"
