"""How a run ends early: SIGTERM and SIGINT, and losses or gradients that are not finite."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from types import FrameType
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

REPEAT_S = 1.0
"""`timeout` and others send a signal twice within a moment: that is one signal."""


class StoppedError(Exception):
    """The run ended by a signal, with all saved."""

    def __init__(self, signum: int, step: int) -> None:
        super().__init__(f"{signal.Signals(signum).name} at step {step}")
        self.signum, self.step = signum, step

    @property
    def exit_code(self) -> int:
        """143 for SIGTERM, 130 for SIGINT."""
        return 128 + self.signum


class NonFiniteError(ArithmeticError):
    """A loss, a gradient or a weight is NaN or infinite."""


class StopOnSignal(Callback):
    """End the run between two micro-batches after SIGTERM or SIGINT, and at once after a second signal.

    Args:
        save: saves the last whole step; called on all ranks.
    """

    def __init__(self, save: Callable[[L.Trainer], None]) -> None:
        self.save = save
        self.received: int | None = None
        self._received_s = 0.0
        self._children: Sequence[Any] = ()

    @contextmanager
    def installed(self, trainer: L.Trainer) -> Iterator[None]:
        """Handle both signals in this block; Lightning's own SIGTERM handler is replaced.

        Lightning's calls a collective from the handler, which hangs when one rank alone is signalled.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        connector: Any = trainer._signal_connector
        register = connector.register_signal_handlers

        def install() -> None:
            for signum in (signal.SIGTERM, signal.SIGINT):
                signal.signal(signum, self._handle)

        def register_and_replace() -> None:
            register()
            install()
            self._children = getattr(trainer.strategy.launcher, "procs", ())

        connector.register_signal_handlers = register_and_replace
        former = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)}
        receiver, sender = os.pipe()
        os.set_blocking(sender, False)
        former_fd = signal.set_wakeup_fd(sender, warn_on_full_buffer=False)
        watcher = threading.Thread(target=self._watch, args=(receiver,), daemon=True)
        watcher.start()
        install()
        try:
            yield
        finally:
            for signum, handler in former.items():
                signal.signal(signum, handler or signal.SIG_DFL)
            signal.set_wakeup_fd(former_fd)
            os.close(sender)
            watcher.join()

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        """Keep the default action away; `_watch` acts, also while the main thread waits for another rank."""

    def _watch(self, receiver: int) -> None:
        """Act on each signal, from a thread of its own, until the other end of the pipe is closed."""
        while byte := os.read(receiver, 1):
            if byte[0] in (signal.SIGTERM, signal.SIGINT):
                self._receive(byte[0])
        os.close(receiver)

    def _receive(self, signum: int) -> None:
        if self.received is None:
            self.received, self._received_s = signum, monotonic()
            name = signal.Signals(signum).name
            line = f"{name}: saving after this step; once more ends at once, without\n"
            if int(os.environ.get("LOCAL_RANK", "0")) == 0:
                os.write(2, line.encode())
        elif monotonic() - self._received_s > REPEAT_S:
            for child in self._children:
                child.kill()
            os._exit(128 + signum)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        signum = self.received or 0
        if trainer.world_size > 1:
            anyone = torch.tensor(signum, device=trainer.strategy.root_device)
            signum = int(trainer.strategy.reduce(anyone, reduce_op="max"))
        self._stop(trainer, signum)

    def on_validation_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if trainer.world_size == 1:  # ranks may have different numbers of batches
            self._stop(trainer, self.received or 0)

    def _stop(self, trainer: L.Trainer, signum: int) -> None:
        if signum:
            if trainer.state.fn == "fit":
                self.save(trainer)
            raise StoppedError(signum, trainer.global_step)


class StopOnNonFinite(Callback):
    """Raise NonFiniteError before an optimizer step whose loss or gradient is not finite.

    With several ranks the gradient is their mean, so that all of them stop.

    Args:
        keep: called on all ranks before the error, while the weights are still good; returns what is kept.
        clips: names the clips of a step that are to blame; called on all ranks.
    """

    def __init__(
        self,
        keep: Callable[[L.Trainer], str] = lambda trainer: "",
        clips: Callable[[L.Trainer, int], Sequence[str]] = lambda trainer, step: (),
    ) -> None:
        self.keep, self.clips = keep, clips
        self._losses: list[Tensor] = []

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor) -> None:
        self._losses.append(loss.detach())

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        losses, self._losses = self._losses, []
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if bool(norm.isfinite()):
            pl_module.log("train/grad_norm", norm)
            return
        good_loss = all(bool(loss.isfinite()) for loss in losses)
        good_loss = trainer.strategy.reduce_boolean_decision(good_loss)
        if good_loss and getattr(trainer.precision_plugin, "scaler", None) is not None:
            return  # float16: the scaler leaves out the step
        what = "gradient" if good_loss else "loss"
        step = trainer.global_step + 1
        raise NonFiniteError(
            f"step {step}: the {what} is not finite; nothing was changed by it"
            f"{_format_clips(self.clips(trainer, step - 1))}; {self.keep(trainer)}"
        )


@contextmanager
def interrupt_ends_process() -> Iterator[None]:
    """Let Ctrl-C end the process in this block, where nothing is to be saved; Lightning exits with 1."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)


def ignore_signals(worker_id: int) -> None:
    """Leave both signals to the training process: a worker of a data loader ends with it."""
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.SIG_IGN)


def first_nonfinite(state: Mapping[str, Any]) -> str:
    """Return the name of the first tensor with a value that is not finite, or an empty string."""
    for name, value in state.items():
        if isinstance(value, Tensor) and value.is_floating_point() and not bool(value.isfinite().all()):
            return name
    return ""


def _format_clips(keys: Sequence[str], most: int = 8) -> str:
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return f". Clips: {', '.join(keys[:most])}{more}" if keys else ""
