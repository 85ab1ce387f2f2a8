# raises: SettingError, ValueError
import os

from kgraph.config import settings

os.environ["KGRAPH_TRACEBACK"] = "long"
settings()
