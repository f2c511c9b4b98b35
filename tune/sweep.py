"""Many short trainings at once on a Ray cluster: Optuna proposes, ASHA stops those that fall behind."""

import tempfile
from pathlib import Path
from typing import Any

from cluster.runtime import connect  # before Ray, which reads its environment on import

# isort: split
import ray.tune
import torch
from optuna.logging import WARNING, set_verbosity
from optuna.samplers import TPESampler
from ray.tune import Callback, Result, Tuner
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from cluster.errors import RuntimeStartError
from train.checkpoint import checkpoint_facts, fill_checkpoint
from train.config import FitRun
from train.families import family_epochs
from train.session import SCORE, Epoch
from train.training_set import TrainingSet
from tune.config import SweepConfig
from tune.results import Trial, shown
from tune.spaces import given_params, with_params

TRIAL = "trial-"


def sweep(config: SweepConfig, data: TrainingSet, folder: Path) -> list[Trial]:
    """Run what is missing of a sweep and return all of its trials; after ctrl-C, some are not finished.

    Everything that a later call needs to go on lies in `folder`.
    """
    connect()
    set_verbosity(WARNING)
    trainable = ray.tune.with_resources(
        ray.tune.with_parameters(_train, config=config.fit, data=data),
        {"cpu": config.cpus_per_trial, "gpu": config.gpus_per_trial},
    )
    results = _tuner(config, trainable, folder).fit()
    trials = sorted((_trial(results[place]) for place in range(len(results))), key=lambda trial: trial.number)
    if not any(trial.scores for trial in trials) and results.errors:
        raise RuntimeStartError(f"every trial failed; the first: {results.errors[0]}")
    return trials


def _tuner(config: SweepConfig, trainable: Any, folder: Path) -> Tuner:
    if Tuner.can_restore(str(folder)):
        return Tuner.restore(str(folder), trainable=trainable, resume_errored=True)
    given = given_params(config.fit, config.space)
    search = OptunaSearch(
        {name: part.distribution() for name, part in config.space.items()},
        metric=SCORE,
        mode="max",
        points_to_evaluate=[given] if given else None,
        sampler=TPESampler(seed=config.seed, n_startup_trials=max(4, config.trials // 4)),
    )
    scheduler = ASHAScheduler(
        time_attr="epoch",
        metric=SCORE,
        mode="max",
        max_t=config.fit.training.epochs,
        grace_period=min(config.grace_epochs, config.fit.training.epochs),
        reduction_factor=config.reduction,
    )
    return Tuner(
        trainable,
        tune_config=ray.tune.TuneConfig(
            num_samples=config.trials,
            search_alg=search,
            scheduler=scheduler,
            reuse_actors=True,  # else each trial pays for the imports again
            trial_dirname_creator=_folder_name,
        ),
        run_config=ray.tune.RunConfig(
            name=folder.name,
            storage_path=str(folder.parent),
            verbose=0,
            callbacks=[Progress(config.trials)],
            checkpoint_config=ray.tune.CheckpointConfig(num_to_keep=1),
        ),
    )


def _train(params: dict[str, Any], config: FitRun, data: TrainingSet) -> None:
    """Train as one trial, from its checkpoint if it has one."""
    run = with_params(config, params)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    checkpoint = ray.tune.get_checkpoint()
    with tempfile.TemporaryDirectory() as place:
        resume_from = Path(checkpoint.to_directory(place)) if checkpoint else None
        for epoch in family_epochs(run.model, run.training, data, device, resume_from, _quiet):
            _report(epoch)


def _report(epoch: Epoch) -> None:
    with tempfile.TemporaryDirectory() as aside:
        fill_checkpoint(Path(aside), epoch.state, {"history": epoch.history})
        ray.tune.report(dict(epoch.metrics), checkpoint=ray.tune.Checkpoint.from_directory(aside))


def _quiet(steps: Any, desc: str) -> Any:
    return steps


class Progress(Callback):
    """A line for each trial that ends."""

    def __init__(self, trials: int) -> None:
        self.trials = trials

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._print(trial, f"{SCORE} {trial.metric_analysis[SCORE]['max']:.4f} in {trial.last_result['epoch']} epochs")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._print(trial, f"failed, see {trial.error_file}")

    def _print(self, trial: Any, what: str) -> None:
        params = "  ".join(f"{name}={shown(value)}" for name, value in trial.config.items())
        print(f"trial {_number(trial)}/{self.trials}  {what}  {params}", flush=True)


def _folder_name(trial: Any) -> str:
    """Return a short name that keeps the order of starting, which Tune's results do not."""
    return f"{TRIAL}{_number(trial):05d}"


def _number(trial: Any) -> int:
    return int(trial.experiment_tag.partition("_")[0])


def _trial(result: Result) -> Trial:
    history = []
    if result.checkpoint is not None:
        with result.checkpoint.as_directory() as place:
            history = checkpoint_facts(Path(place))["history"]
    return Trial(
        number=int(Path(result.path).name.removeprefix(TRIAL)),
        params=dict(result.config or {}),
        scores=[metrics[SCORE] for metrics in history],
        seconds=sum(metrics["seconds"] for metrics in history),
        finished=result.error is None and bool((result.metrics or {}).get("done")),
    )
