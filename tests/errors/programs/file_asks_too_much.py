# raises: FileError, OSError
import json
import tempfile
import zipfile
from pathlib import Path

from kgraph.layers import Dense, Input
from kgraph.models import Sequential, load_model

good, bad = (Path(tempfile.gettempdir(), name) for name in ("good.keras", "bad.keras"))
Sequential([Input((3,)), Dense(2, name="head")]).save(good)
with zipfile.ZipFile(good) as old, zipfile.ZipFile(bad, "w") as new:
    config = json.loads(old.read("config.json"))
    config["config"]["layers"][1]["config"]["units"] = 10**9
    new.writestr("config.json", json.dumps(config))
    new.writestr("model.weights.h5", old.read("model.weights.h5"))
load_model(bad)
