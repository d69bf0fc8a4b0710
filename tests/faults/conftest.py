import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "failover"), str(HERE.parent / "support")]

pytest_plugins = ["long_tests"]
