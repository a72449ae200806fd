"""One real computation for each environment: a cell, and what it prints when the environment is what it says.

Every package that a recipe names is used at least once. Files are made in a folder that goes away.
"""

BASE = """
import tempfile, pathlib
import h5py, ipympl, ipywidgets, matplotlib, numba, numpy, pandas, scipy.optimize
matplotlib.use("agg")
from matplotlib import pyplot

@numba.njit
def total(values):
    result = 0.0
    for value in values:
        result += value
    return result

numbers = numpy.arange(1001.0)
with tempfile.TemporaryDirectory() as folder:
    place = pathlib.Path(folder)
    pandas.DataFrame({"n": numbers}).to_parquet(place / "numbers.parquet", engine="pyarrow")
    table = pandas.read_parquet(place / "numbers.parquet", engine="pyarrow")
    with h5py.File(place / "numbers.h5", "w") as file:
        file["n"] = table["n"].to_numpy()
    with h5py.File(place / "numbers.h5") as file:
        again = file["n"][:]
    pyplot.plot(again)
    pyplot.savefig(place / "numbers.png")
    drawn = (place / "numbers.png").stat().st_size > 1000
root = scipy.optimize.brentq(lambda x: x * x - 2, 0, 2)
print(int(total(again)), round(root, 6), drawn, ipywidgets.IntSlider(value=7).value)
"""

HEP = """
import tempfile
import awkward, hist, matplotlib, mplhep, numpy, uproot, vector
matplotlib.use("agg")
from coffea.analysis_tools import PackedSelection

vector.register_awkward()
with tempfile.TemporaryDirectory() as folder:
    with uproot.recreate(f"{folder}/pairs.root") as file:
        file["pairs"] = {
            "pt": awkward.Array([[45.0, 45.0], [30.0, 30.0], [50.0, 20.0]]),
            "phi": awkward.Array([[0.0, numpy.pi], [0.0, numpy.pi], [0.0, 0.0]]),
        }
    with uproot.open(f"{folder}/pairs.root:pairs") as tree:
        found = tree.arrays(["pt", "phi"])
zero = awkward.zeros_like(found.pt)
columns = {"pt": found.pt, "phi": found.phi, "eta": zero, "mass": zero}
muons = awkward.zip(columns, with_name="Momentum4D")
mass = (muons[:, 0] + muons[:, 1]).mass
selection = PackedSelection()
selection.add("heavy", awkward.to_numpy(mass > 50))
counted = hist.Hist.new.Reg(10, 0, 100, name="mass").Double().fill(mass[selection.all("heavy")])
mplhep.histplot(counted)
print([round(float(value), 3) for value in mass], int(counted.sum()))
"""

ML = """
import importlib.metadata
import jax, numpy, sklearn.datasets, sklearn.linear_model, sklearn.model_selection, xgboost

data, target = sklearn.datasets.load_breast_cancer(return_X_y=True)
parts = sklearn.model_selection.train_test_split(data, target, random_state=1)
learned, judged, answers, right = parts
scores = []
for model in (
    sklearn.linear_model.LogisticRegression(max_iter=10_000),
    xgboost.XGBClassifier(n_estimators=40, n_jobs=1, random_state=1),
):
    scores.append(model.fit(learned, answers).score(judged, right) > 0.9)
slope = jax.jit(jax.grad(lambda x: x**3))(2.0)
names = {found.metadata["Name"].lower() for found in importlib.metadata.distributions()}
for_gpus = [name for name in names if "cuda" in name or "nvidia" in name]
print(*scores, float(slope), jax.default_backend(), for_gpus)
"""

LEGACY = """
import sys, warnings
warnings.simplefilter("ignore")
import awkward, ipympl, ipywidgets, matplotlib, numpy, pandas, scipy.stats, uproot

frame = pandas.DataFrame({"n": [1, 2]}).append({"n": 3}, ignore_index=True)  # gone from pandas 2
three = numpy.float_(frame["n"].max())  # gone from NumPy 2
jagged = awkward.Array([[1, 2], [], [3]])
half = round(scipy.stats.norm.cdf(0), 3)
print(sys.version_info[:2], int(frame["n"].sum()), three, awkward.sum(jagged), half)
print(numpy.__version__[:2], pandas.__version__[:4], matplotlib.__version__[:4], uproot.__version__[:2])
"""

ROOT = """
import numpy, ROOT
frame = ROOT.RDataFrame(1000).Define("n", "(double) rdfentry_").Filter("n > 499")
first = numpy.asarray(frame.AsNumpy(["n"])["n"])[0]
print(ROOT.gROOT.GetVersion()[:5], int(frame.Sum("n").GetValue()), int(first))
"""

ROOT_CPP = """
std::vector<double> numbers(1001);
std::iota(numbers.begin(), numbers.end(), 0.);
std::cout << std::accumulate(numbers.begin(), numbers.end(), 0.) << std::endl;
"""

CONTAINER = """
import shutil, subprocess, matplotlib, numpy
command = ["gnuplot", "-e", "set print '-'; print 6 * 7"]
printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
print(shutil.which("gnuplot"), printed, int(numpy.linalg.det(numpy.diag([2, 3, 7])).round()))
"""

# kernel → (its cell, what that prints)
COMPUTATIONS = {
    "base": (BASE, "500500 1.414214 True 7"),
    "hep": (HEP, "[90.0, 60.0, 0.0] 2"),
    "ml": (ML, "True True 12.0 cpu []"),
    "legacy": (LEGACY, "(3, 11) 6 3.0 6 0.5\n1. 1.5. 3.7. 4."),
    "root": (ROOT, "6.40. 374750 500"),
    "root-cpp": (ROOT_CPP, "500500"),
    "container": (CONTAINER, "/usr/bin/gnuplot 42 42"),
}
