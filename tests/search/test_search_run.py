"""Whole searches of a small network: what they find, keep and write, and what they never read."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from fewbits.data import Dataset, Split
from fewbits.errors import DataError, FewbitsError, SearchError
from fewbits.formats.assignment import Assignment
from fewbits.quantization import quantize
from fewbits.search import SearchProgress, SearchResult, SearchSettings, read_result, search
from fewbits.search.evaluation import Evaluator, validation_split
from fewbits.search.front import undominated
from fewbits.search.space import parsed_precisions, space_of

SETTINGS = SearchSettings(formats=("fixed8", "fixed3", "fixed2"), max_loss_points=5.0)


@pytest.fixture(scope="module")
def found(trained: nn.Module, unread: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[SearchResult, Path]:
    """A search and its folder; the data's test images cannot be read."""
    folder = tmp_path_factory.mktemp("search")
    return search(trained, unread, SETTINGS, out=folder), folder


def test_every_uniform_precision_is_evaluated(found: tuple[SearchResult, Path]):
    assert [point.name for point in found[0].uniform] == ["fixed8", "fixed3", "fixed2"]


def test_every_unit_has_a_sensitivity_at_every_narrower_precision(found: tuple[SearchResult, Path]):
    told = [(one.layers, one.precision) for one in found[0].sensitivities]
    assert told == [((layer,), name) for layer in ("0", "2", "6") for name in ("fixed3", "fixed2")]


def test_points_lost_are_against_the_reference(found: tuple[SearchResult, Path]):
    result = found[0]
    reference = result.by_name["fixed8"].accuracy_percent
    assert all(
        one.points_lost == pytest.approx(reference - (one.accuracy_percent or 0)) for one in result.sensitivities
    )


def test_no_more_networks_are_evaluated_than_allowed(found: tuple[SearchResult, Path]):
    assert len(found[0].points) <= found[0].basis.evaluations == 3 + 6 + 3


def test_the_front_holds_what_no_other_point_beats(found: tuple[SearchResult, Path]):
    points = found[0].points
    best = undominated([one.costs.energy_uj for one in points], [one.accuracy_percent for one in points])
    assert found[0].front == tuple(points[number].name for number in best)


def test_the_cheapest_point_within_the_loss_is_chosen(found: tuple[SearchResult, Path]):
    result = found[0]
    within = [point for point in result.points if result.points_lost(point) <= 5.0]
    assert result.chosen is not None
    assert result.by_name[result.chosen].costs.energy_uj == min(point.costs.energy_uj for point in within)


def test_the_file_gives_the_same_result(found: tuple[SearchResult, Path]):
    assert read_result(found[1]) == found[0]


def test_a_second_search_evaluates_nothing_and_gives_the_same_digits(
    found: tuple[SearchResult, Path], trained: nn.Module, unread: Dataset, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise AssertionError("a network was evaluated anew")

    monkeypatch.setattr(Evaluator, "outcome", fail)
    monkeypatch.setattr(Evaluator, "float_outcome", fail)
    written = (found[1] / "search.json").read_bytes()
    search(trained, unread, SETTINGS, out=found[1])
    assert (found[1] / "search.json").read_bytes() == written


@pytest.mark.parametrize("cut", [0, 40])
def test_a_search_goes_on_from_a_journal_that_ends_in_half_a_line(
    found: tuple[SearchResult, Path], trained: nn.Module, unread: Dataset, tmp_path: Path, cut: int
):
    lines = (found[1] / "search.journal").read_bytes().splitlines(keepends=True)
    search(trained, unread, replace(SETTINGS, evaluations=9), out=tmp_path)  # makes the folder fewbits' own
    (tmp_path / "search.journal").write_bytes(b"".join(lines[:4]) + lines[4][:cut])
    assert search(trained, unread, SETTINGS, out=tmp_path) == found[0]


def test_a_line_of_the_journal_that_was_changed_is_evaluated_anew_and_said(
    found: tuple[SearchResult, Path], trained: nn.Module, unread: Dataset, tmp_path: Path
):
    search(trained, unread, SETTINGS, out=tmp_path)
    journal = tmp_path / "search.journal"
    journal.write_bytes(journal.read_bytes().replace(b'"right": ', b'"right": 1', 1))
    again = search(trained, unread, SETTINGS, out=tmp_path)
    assert again.points == found[0].points
    assert "1 lines of the journal were damaged, and what they told was evaluated anew" in again.notices


def test_another_objective_uses_the_same_evaluations(
    found: tuple[SearchResult, Path], trained: nn.Module, unread: Dataset, tmp_path: Path
):
    folder = shutil.copytree(found[1], tmp_path / "copy")
    lines: list[str] = []

    def observe(progress: SearchProgress) -> None:
        lines.append(progress.line)

    search(trained, unread, replace(SETTINGS, objective="memory", evaluations=9), out=folder, observer=observe)
    assert lines[0].endswith("going on from there")


def test_the_written_assignment_is_the_chosen_one(found: tuple[SearchResult, Path]):
    result, folder = found
    assert result.chosen is not None
    chosen = result.by_name[result.chosen]
    assert Assignment.read(folder / "best.toml") == chosen.assignment()


def test_a_choice_that_loses_nothing_else_is_said_where_none_is_within_the_loss(trained: nn.Module, unread: Dataset):
    settings = SearchSettings(
        formats=("ternary/fixed8", "binary"), max_loss_points=0.0, score="gradient", evaluations=2
    )
    result = search(trained, unread, settings)
    assert result.chosen is None
    assert any(notice.startswith("no assignment is within 0 points") for notice in result.notices)


def test_fine_tuned_points_compete_with_the_others(trained: nn.Module, unread: Dataset, tmp_path: Path):
    settings = SearchSettings(formats=("fixed8", "fixed2"), max_loss_points=2.0, fine_tune_epochs=2)
    result = search(trained, unread, settings, out=tmp_path)
    tuned = [point for point in result.points if point.fine_tuned_epochs]
    assert tuned
    assert all(point.name.endswith(", fine-tuned") and point.method == "fine-tune" for point in tuned)
    assert not list((tmp_path / "checkpoints").iterdir())


@pytest.mark.parametrize("score", ["hessian", "gradient"])
def test_foretold_scores_need_no_evaluation(trained: nn.Module, unread: Dataset, score: str):
    settings = replace(SETTINGS, score=score, evaluations=4)  # pyright: ignore[reportArgumentType]
    result = search(trained, unread, settings)
    assert [one.accuracy_percent for one in result.sensitivities] == [None] * 6
    assert [point.method for point in result.points[:3]] == ["uniform"] * 3


def test_of_each_layer_the_coarsest_precision_alone_is_measured_and_the_others_are_shares_of_it(
    trained: nn.Module, unread: Dataset
):
    result = search(trained, unread, replace(SETTINGS, score="coarsest"))
    assert [point.method for point in result.points].count("sensitivity") == 3
    for layer in ("0", "2", "6"):
        by_precision = {one.precision: one for one in result.sensitivities if one.layers == (layer,)}
        coarsest, finer = by_precision["fixed2"], by_precision["fixed3"]
        assert coarsest.score == pytest.approx(coarsest.points_lost)
        assert finer.accuracy_percent is None
        assert abs(finer.score) <= abs(coarsest.score)


@pytest.mark.parametrize("sampler", ["nsga2", "tpe"])
def test_a_sampler_goes_on_from_what_was_found(trained: nn.Module, unread: Dataset, sampler: str):
    pytest.importorskip("optuna", reason="needs fewbits[search]")
    settings = replace(SETTINGS, score="gradient", evaluations=5, refine=sampler)  # pyright: ignore[reportArgumentType]
    methods = [point.method for point in search(trained, unread, settings).points]
    assert methods[5:] == [sampler] * 5


# Layers that share an input


class Forked(nn.Module):
    """Two convolutions take one input, their sum goes on."""

    input_shape = (1, 8, 8)

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3)
        self.left, self.right = nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3)
        self.fc = nn.Linear(64, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        x = self.first(x).relu()
        return self.fc((self.left(x) + self.right(x)).relu().flatten(1))


def test_layers_that_share_an_input_have_one_precision_together():
    space = space_of(Forked(), parsed_precisions(("fixed8", "fixed4")))
    assert space.units == (("first",), ("left", "right"), ("fc",))


def test_every_assignment_of_a_forked_network_is_taken(unread: Dataset):
    network = Forked().eval()
    space = space_of(network, parsed_precisions(("fixed8", "fixed4")))
    evaluator = Evaluator(network, space, unread, validation_split(unread, 10, 0), 0)
    assert all(
        evaluator.outcome((one, two, three)).evaluated == "bit-exact"
        for one in range(2)
        for two in range(2)
        for three in range(2)
    )


# Requests that cannot be met


def refused(words: str, *arguments: object, error: type[FewbitsError] = SearchError, **options: object) -> None:
    """One line with these words."""
    with pytest.raises(error, match=words) as caught:
        search(*arguments, **options)  # pyright: ignore[reportArgumentType]
    assert "\n" not in str(caught.value)


def test_too_few_evaluations_are_refused_with_how_many_it_takes(trained: nn.Module, unread: Dataset):
    settings = replace(SETTINGS, evaluations=8)
    refused(
        r"3 uniform precisions and 6 sensitivities: give at least 9, or --score gradient", trained, unread, settings
    )


def test_more_validation_images_than_there_are_are_refused(trained: nn.Module, unread: Dataset):
    refused("has 60 validation images, not 61", trained, unread, replace(SETTINGS, images=61))


def test_data_without_validation_images_is_refused(trained: nn.Module, unread: Dataset):
    none = Split(unread.validation.images[:0], unread.validation.labels[:0])
    refused("has no validation images", trained, replace(unread, validation=none), SETTINGS)


def test_a_network_that_does_not_take_the_images_is_refused(unread: Dataset):
    refused("does not take the images", nn.Sequential(nn.Flatten(), nn.Linear(9, 4)), unread)
    refused("takes images of 1 x 28 x 28 but data 'quadrants' has 1 x 8 x 8", "lenet", unread, error=DataError)


def test_a_network_of_fewer_classes_than_the_data_is_refused(unread: Dataset):
    refused(r"must return logits of shape \(1, 4\)", nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), unread)


def test_a_quantized_network_is_refused(trained: nn.Module, unread: Dataset):
    refused("quantized already", quantize(trained, "fixed8"), unread, error=FewbitsError)


def test_weights_for_a_module_are_refused(trained: nn.Module, unread: Dataset):
    refused("weights are for a model's name", trained, unread, weights="net.pt")


def test_a_folder_that_another_search_holds_is_refused(trained: nn.Module, unread: Dataset, tmp_path: Path):
    def start_another(_: SearchProgress) -> None:
        refused("is in use by process", trained, unread, SETTINGS, out=tmp_path)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(trained, unread, SETTINGS, out=tmp_path, observer=start_another)


def test_a_file_of_the_users_is_not_overwritten(trained: nn.Module, unread: Dataset, tmp_path: Path):
    (tmp_path / "search.journal").write_text("mine")
    refused("is not of fewbits", trained, unread, SETTINGS, out=tmp_path)
    assert (tmp_path / "search.journal").read_text() == "mine"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 2}', b'{"format": 1}', b"\xff", b"[" * 100_000])
def test_a_damaged_result_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "search.json").write_bytes(content)
    with pytest.raises(SearchError, match="search again"):
        read_result(tmp_path)


def test_a_result_whose_front_names_no_point_is_refused(found: tuple[SearchResult, Path], tmp_path: Path):
    record = json.loads((found[1] / "search.json").read_text())
    record["front"] = ["nowhere"]
    (tmp_path / "search.json").write_text(json.dumps(record))
    with pytest.raises(SearchError, match="damaged or no search's result"):
        read_result(tmp_path)


def test_a_network_without_bit_exact_form_is_fake_quantized_and_said(unread: Dataset):
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.GELU(), nn.Linear(8, 4)).eval()
    space = space_of(network, parsed_precisions(("fixed8", "fixed4")))
    outcome = Evaluator(network, space, unread, validation_split(unread, None, 0), 0).outcome((0, 1))
    assert outcome.evaluated == "fake-quantized"
    assert outcome.notices[0].startswith("fake-quantized, since there is no bit-exact network:")


@pytest.mark.parametrize("end", ["", ":auto-sign"])
def test_layers_with_a_sign_and_without_are_searched_together(
    end: str, trained: nn.Module, unread: Dataset, tmp_path: Path
):
    names = ("fixed8", f"fixed3/ufixed3{end}", f"ternary/ufixed4{end}")
    result = search(trained, unread, SearchSettings(formats=names, max_loss_points=5.0), out=tmp_path)
    assert {point.name for point in result.uniform} == set(names)
    assert all(point.costs.energy_uj > 0 for point in result.points)
    assert any(len({point.precision, *point.layers.values()}) > 1 for point in result.points)
    assert read_result(tmp_path) == result
