from pathlib import Path


def test_probe(server, template):
    name = server.create(template)
    for p in ("0000_setup.sql","0001_helpers.sql"):
        r=server.psql(name,"-f",Path("sql_tests")/p); assert r.returncode==0, r.stderr
    r=server.psql(name,"-f",Path("/tmp/probe.sql"))
    print(r.stdout); print(r.stderr)
