"""The results in the clone make asv's pages, and a browser draws our benchmarks on them.

asv's pages fetch their scripts from the network. Here they are Debian's, so that the test needs
none: apt-get install chromium libjs-jquery libjs-jquery-flot libjs-bootstrap
libjs-jquery-stupidtable node-blueimp-md5
"""

import functools
import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
RESULTS = BENCHMARKS / "results"
DEBIAN = Path("/usr/share/javascript")
SCRIPTS = {  # what asv's pages ask the network for, and where Debian has it
    "jquery-3.3.1.min.js": "jquery/jquery.min.js",
    "jquery.flot.min.js": "jquery-flot/jquery.flot.min.js",
    "jquery.flot.time.min.js": "jquery-flot/jquery.flot.time.min.js",
    "jquery.flot.selection.min.js": "jquery-flot/jquery.flot.selection.min.js",
    "jquery.flot.categories.min.js": "jquery-flot/jquery.flot.categories.min.js",
    "jquery.flot.orderBars.js": None,  # bars side by side: no page of ours has any
    "stupidtable.min.js": "jquery-stupidtable/stupidtable.min.js",
    "md5.min.js": "blueimp-md5/md5.min.js",
    "bootstrap.min.js": "bootstrap/js/bootstrap.min.js",
    "bootstrap.min.css": "bootstrap/css/bootstrap.min.css",
}
GRAPHS = [
    "limits.StepOverProducts.track_time_over_sgemm",
    "limits.PeakOverStep.track_peak_over_achieved",
    "step.Step.time_step",
    "step.StepOverNumPy.track_step_over_numpy",
]


def load(path):
    return json.loads(path.read_text(encoding="utf-8"))


def results():
    return [path for path in RESULTS.glob("*/*.json") if path.name != "machine.json"]


def git(*arguments):
    command = ["git", "-C", str(BENCHMARKS), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """asv's pages of the results, by asv publish."""
    pytest.importorskip("asv", reason="asv is not installed")
    found = [load(path)["commit_hash"] for path in results()]
    if not all(git("cat-file", "-t", commit) == "commit" for commit in found):
        pytest.skip("no git history with the commits of the results")
    folder = tmp_path_factory.mktemp("dashboard")
    settings = re.sub(r"(?m)^\s*//.*$", "", (BENCHMARKS / "asv.conf.json").read_text("utf-8"))
    # whatever is checked out, under whatever name
    places = {"repo": str(BENCHMARKS.parent), "results_dir": str(RESULTS), "branches": ["HEAD"]}
    places["html_dir"] = str(folder / "html")
    config = folder / "asv.conf.json"
    config.write_text(json.dumps(json.loads(settings) | places), encoding="utf-8")
    command = [sys.executable, "-m", "asv", "publish", "--no-pull", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def address(pages):
    """The pages on a port of this machine, with Debian's scripts instead of the network's."""
    if shutil.which("chromium") is None:
        pytest.skip("chromium is not installed")
    missing = [name for name in SCRIPTS.values() if name and not (DEBIAN / name).exists()]
    if missing:
        pytest.skip(f"Debian's JavaScript packages are not installed: {', '.join(missing)}")

    def local(found):
        name = found["url"].rpartition("/")[2]
        source = SCRIPTS[name]  # a name that asv did not use before is to be added above
        (pages / name).write_bytes((DEBIAN / source).read_bytes() if source else b"")
        return f'{found["attribute"]}="{name}"'

    index = pages / "index.html"
    text = re.sub(r'integrity="[^"]*"|crossorigin="[^"]*"', "", index.read_text("utf-8"))
    pattern = r'(?P<attribute>src|href)="(?P<url>https://[^"]*\.(js|css))"'
    index.write_text(re.sub(pattern, local, text), encoding="utf-8")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(pages))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/index.html"
        server.shutdown()
        thread.join()


def opened(address, profile):
    """What the page has become after its scripts have run."""
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-proxy-server"]
    command += [f"--user-data-dir={profile}", "--virtual-time-budget=30000", "--dump-dom", address]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_results_of_five_commits_and_more_are_there():
    commits = {load(path)["commit_hash"] for path in results()}
    assert len(commits) >= 5
    names = [load(path)["results"].keys() for path in results()]
    assert all(set(GRAPHS) <= found for found in names)


def test_results_name_no_machine_and_no_path():
    assert load(RESULTS / "reference" / "machine.json")["os"] == "Linux"
    # asv leaves a folder for every machine it runs on; git keeps this one alone
    kept_files = [RESULTS / "benchmarks.json", *(RESULTS / "reference").rglob("*.json")]
    for path in kept_files:
        text = path.read_text("utf-8")
        assert not re.search(r"/(tmp|home|root|work|usr)/|\.local\b", text), path.name
        kept = load(path).get("params", {})
        assert kept.get("machine", "reference") == "reference"
        assert kept.get("os", "Linux") == "Linux"
    assert sum(path.stat().st_size for path in kept_files) < 500_000


def test_the_grid_lists_our_benchmarks(address, tmp_path):
    page = opened(address, tmp_path)
    for name in GRAPHS:
        assert f'href="#{name}' in page


def test_nothing_is_drawn_of_a_benchmark_that_is_not_there(address, tmp_path):
    assert "<canvas" not in opened(f"{address}#limits.Nothing.track_it", tmp_path)


@pytest.mark.parametrize("name", GRAPHS[:2])
def test_a_benchmark_is_drawn(address, tmp_path, name):
    page = opened(f"{address}#{name}", tmp_path)
    assert '<canvas class="flot-base"' in page
    assert name in page
    cases = load(RESULTS / "benchmarks.json")[name]["params"][0]
    assert all(case.strip("'") in page for case in cases[1:3])
