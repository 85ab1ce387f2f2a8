# raises: FileError, OSError
import json

from kgraph.models import model_from_json

config = {"class_name": "Dense", "config": {"units": 3}}
for _ in range(250):
    config = {"class_name": "Sequential", "config": {"layers": [config]}}
model_from_json(json.dumps(config))
