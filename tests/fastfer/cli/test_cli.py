"""The command line as a person meets it: clear sentences, exit codes, help; through make too."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fastfer.cli import main
from fastfer.cli.app import VERBS, parser, run_verb
from fastfer.cli.verbs import Verb

ROOT = Path(__file__).parents[3]
FASTFER = Path(sys.executable).with_name("fastfer")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    told = capsys.readouterr()
    return int(str(exit.value.code)), told.out, told.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("train --dataset nope", "no dataset 'nope': choose one of rafdb, expw, folder, demo-rafdb, demo-expw"),
        ("train --arch resnet51", "no architecture 'resnet51': choose resnet, efficientnet, vit, efficientvit"),
        ("train --aug weird", "no augmentation 'weird'"),
        ("train --arch resnet10t./../../x", "no architecture 'resnet10t./../../x'"),
        ("train --arch resnet50.typo", "no architecture 'resnet50.typo'"),
        ("train --lr nan", "a learning rate of nan is impossible"),
        ("train --weight-decay -1", "weight_decay is -1.0"),
        ("train --image-size 0", "image_size is 0"),
        ("study --datasets rafdb+expw", "name single datasets"),
        ("train --epochs 0", "epochs is 0"),
        ("train --epochs many", "argument --epochs: invalid int value: 'many'"),
        ("train --pretrained maybe", "'maybe' is neither 0 nor 1"),
        ("train --lr -1", "a learning rate of -1.0 is impossible"),
        ("train --dataset rafdb", "no preprocessed records of rafdb in shards: make shards DATASET=rafdb makes them"),
        ("train --aug online", "no augmented records of rafdb in shards: make balance DATASET=rafdb makes them"),
        ("shards --dataset expw", "no folder data/raw/expw with the expw dataset"),
        ("shards --dataset demo-expw", "no folder data/raw/demo-expw with the demo-expw dataset: make demo-data"),
        ("shards --dataset rafdb --data-root .", "no RAF-DB in .: expected EmoLabel/list_patition_label.txt or class"),
        ("shards --dataset rafdb --device tpu", "no device 'tpu': choose auto, cpu or cuda"),
        ("shards --dataset rafdb --engine spark", "no engine 'spark': choose one of local, ray"),
        ("shards --dataset rafdb --face-scale nan", "face_scale is nan: it must be from 0.1 to 2.0"),
        ("shards --dataset rafdb --data-root nowhere://x", "nowhere://x cannot be opened"),
        ("dataset check --dataset rafdb", "no folder data/raw/rafdb with the rafdb dataset: README.md says how"),
        ("duplicates", "no preprocessed records of rafdb in data/shards: make shards DATASET=rafdb makes them"),
        ("selection-report --dataset expw", "no preprocessed records of expw"),
        ("eda", "neither photographs nor records of rafdb, expw: no folder data/raw/rafdb with the rafdb"),
        ("eda --dataset rafdb+nope", "no dataset 'nope': choose one of rafdb, expw"),
        ("eda --dataset rafdb+rafdb", "DATASET=rafdb+rafdb names a dataset twice"),
        ("eda --data-root x", "DATA_ROOT= is the folder of one dataset"),
        ("shards inspect --variant best", "no variant 'best': choose one of preprocessed, augmented, raw"),
        ("shards export --dataset rafdb", "the following arguments are required: --into"),
        ("shards export --dataset rafdb --into x", "no preprocessed records of rafdb"),
        ("verify --dataset rafdb", "no preprocessed records of rafdb"),
        ("balance --dataset rafdb", "no preprocessed records of rafdb"),
        ("evaluate --run nowhere", "no run in runs/nowhere"),
        ("evaluate --run nowhere --workers -1", "argument --workers: '-1' is no whole number from 0 to"),
        ("cross", "no trained run to test across"),
        ("compare", "a comparison needs two trained runs"),
        ("train --dataset rafdb+demo-expw", "mixes datasets of the kinds demo, real"),
        ("train --monitor auroc", "no monitor 'auroc': choose one of macro_f1, balanced_accuracy, accuracy, loss"),
        ("study --variants best", "no variant best: choose of raw, preprocessed, augmented"),
        ("study --datasets rafdb,rafdb", "'rafdb,rafdb' is no list of different names, such as a,b"),
        ("study --seeds 0,x", "no whole number"),
        ("study --gpus 0,99", "no GPU"),
        ("study --datasets rafdb,cifar", "no dataset 'cifar'"),
        ("study --archs resnet51", "no architecture 'resnet51'"),
        ("demo-data --faces 3", "too few"),
        ("nonsense", "invalid choice: 'nonsense'"),
        ("", "the following arguments are required: verb"),
    ],
)
def test_wrong_use_is_one_clear_sentence_and_exit_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: str,
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = arguments.split()
    if given and given[0] == "train":
        given += ["--shards", "shards"]
    code, out, err = run(capsys, *given)
    assert code == 2
    assert sentence in err
    assert err.startswith("fastfer: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err + out
    assert list(tmp_path.iterdir()) == []  # nothing half-written


@pytest.mark.parametrize("sheet", ["folder", "folder/..", "file/sheet.jpg", ".", "x" * 300])
def test_what_cannot_be_written_where_it_shall_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sheet: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"mine")
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, "augment", "show", "--policy", "light", "--sheet", sheet)
    assert code == 2
    assert err.startswith("fastfer: cannot write ")
    assert (tmp_path / "file").read_bytes() == b"mine"
    assert {path.name for path in tmp_path.rglob("*")} == {"folder", "file"}


def test_sigterm_is_taken_as_ctrl_c_and_nothing_of_it_stays(capsys: pytest.CaptureFixture[str]) -> None:
    verb = Verb("wait", "Wait.", (), (), lambda _arguments: signal.raise_signal(signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        run_verb(parser([verb]), [verb], ["wait"])
    assert caught.value.code == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("color", ["gray", "rgb"])
def test_a_dataset_of_which_nothing_can_be_kept_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], color: str
) -> None:
    for name in ("train/happy", "val/sad", "test/happy"):
        (tmp_path / "faces" / name).mkdir(parents=True)
        (tmp_path / "faces" / name / "a.jpg").write_text("no picture")
    words = f"shards --dataset folder --data-root {tmp_path}/faces --variant raw --size 32 --color {color}"
    code, _, err = run(capsys, *words.split(), "--out", str(tmp_path / "shards"))
    assert code == 2
    assert "none of the 3 samples of folder could be kept; the first: unreadable image" in " ".join(err.split())


def test_an_empty_label_list_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("EmoLabel", "Image/original"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "EmoLabel/list_patition_label.txt").write_text("\n")
    code, _, err = run(capsys, "shards", "--dataset", "rafdb", "--data-root", str(tmp_path))
    assert code == 2
    assert "list_patition_label.txt is empty" in err


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_every_verb_explains_itself_with_examples(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, verb, "--help")
    assert code == 0
    assert "examples:" in out
    assert f"fastfer {verb}" in out


def test_the_installed_command_and_make_say_the_same() -> None:
    plain = subprocess.run([FASTFER, "train", "--dataset", "nope"], capture_output=True, text=True, check=False)
    assert plain.returncode == 2
    assert plain.stderr.splitlines() == [
        "fastfer: no dataset 'nope': choose one of rafdb, expw, folder, demo-rafdb, demo-expw"
    ]
    make = shutil.which("make")
    assert make is not None
    made = subprocess.run(
        [make, "--silent", "train", "DATASET=nope"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert made.returncode == 2
    assert plain.stderr.strip() in made.stderr.splitlines()
    assert "Traceback" not in made.stderr


def test_make_passes_settings_as_options_and_ignores_the_environment() -> None:
    made = subprocess.run(
        ["make", "--dry-run", "train", "ARCH=vit", "DATASET=two words", "LABEL_SMOOTHING=0.2"],
        cwd=ROOT,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "SEED": "7", "OUT": "/elsewhere"},
        capture_output=True,
        text=True,
        check=True,
    )
    (command,) = [line for line in made.stdout.splitlines() if "fastfer train" in line]
    assert command.split("fastfer ")[1] == "train --arch 'vit' --dataset 'two words' --label-smoothing '0.2'"


def test_help_does_not_wait_for_torch() -> None:
    code = "import sys; from fastfer.cli.app import parser; parser(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
