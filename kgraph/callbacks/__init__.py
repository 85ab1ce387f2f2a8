"""Callbacks: what a user's code may do while a model trains, with the hooks and semantics of Keras 3."""

from __future__ import annotations

from kgraph.callbacks.backup import BackupAndRestore
from kgraph.callbacks.base import Callback, CallbackList, History, LambdaCallback
from kgraph.callbacks.checkpoint import ModelCheckpoint
from kgraph.callbacks.monitor import EarlyStopping, ReduceLROnPlateau
from kgraph.callbacks.report import BaseLogger, OrbaxCheckpoint, ProgbarLogger, RemoteMonitor, TensorBoard
from kgraph.callbacks.schedule import LearningRateScheduler
from kgraph.callbacks.swap import SwapEMAWeights
from kgraph.callbacks.watch import CSVLogger, TerminateOnNaN

__all__ = [
    "BackupAndRestore",
    "BaseLogger",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "OrbaxCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
]
