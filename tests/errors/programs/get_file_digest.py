# raises: DataError, ValueError
import tempfile
from pathlib import Path

from kgraph.utils import get_file

source = Path(tempfile.gettempdir()) / "source.txt"
source.write_text("what came")
get_file("kept.txt", "file://" + str(source), file_hash="0" * 64, cache_dir=tempfile.gettempdir())
