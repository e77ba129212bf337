"""The process between the runner and a sandboxed command: standard library only, started as a program of its
own with `STUB`, so that nothing runs between fork and exec inside the threaded runner.
"""

STUB = "import sys; sys.path.append(sys.argv[1]); from launch.supervise import main; main(sys.argv[2:])"
