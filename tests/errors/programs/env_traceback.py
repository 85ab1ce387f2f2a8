# raises: SettingError, ValueError


from kgraph.config import settings

setenv("KGRAPH_TRACEBACK", "long")
settings()
