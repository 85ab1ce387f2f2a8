# raises: FileError, OSError
import tempfile
import zipfile
from pathlib import Path

from kgraph.utils import get_file

source = Path(tempfile.gettempdir()) / "bad.zip"
with zipfile.ZipFile(source, "w") as package:
    package.writestr("../../evil.txt", "x")
get_file("bad", "file://" + str(source), extract=True, cache_dir=tempfile.gettempdir())
