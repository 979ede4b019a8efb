# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Appendix: speed
#
# This page shows how long the package takes beside what a user would run instead: other libraries, the authors' code, and the paper's listings written out as plain loops (Figure E17, Table E24), how the cost grows with the number of images (Table E25), and what a GPU loses by rounding (Table E26). The numbers are those of committed records, made by the scripts in `benchmarks/`;
# the page only reads them. Machines: {glue:text}`machines`. Made on a GPU: the record of the rounding, and of what is set beside others {glue:text}`on_gpu`.

# %% tags=["hide-input"]
import json

import pandas as pd
from myst_nb import glue

from humimp import book, evaluate
from humimp.figures.speed import ratios, rounding_table, scaling_table, sides_table
from humimp.findings import speed as findings
from humimp.pages import Project

results = Project.holding("a3_speed").root / "results"
files = [*sorted(results.glob("benchmarks/*.json")), *sorted(results.glob("peers/*.json"))]
records = {file.stem: json.loads(file.read_text("utf-8")) for file in files}

# %% [markdown]
# ## How it was measured
#
# Both sides get the same model, images and options, in one process, and take turns; a ratio is the median over the turns, so what slows the whole machine for a while slows both. Whether the results are equal is checked in the same run, within the tolerance that the record states: same successes, and distances or pixels that agree. A speed-up with
# other results does not count. Beside the authors' code of an attack (PerC_AL, PPGD, LPA, DDN, ALMA) the tolerance is that of mean distances, and the record says, image by image, how far the two agree (`benchmarks/README.md`).
#
# The share of the product's rate is the arithmetic of convolutions and matrix products, counted, over the time taken, as a share of the rate that the same machine reached in a large matrix product just before. Peak memory is that of a fresh process that does one side alone, libraries and data included, from where the side begins (in older records, from where the process begins); on a GPU, what the side allocates, and the rate there is that of TF32. Each record holds the machine's load; `benchmarks/README.md` says how to make each record anew, and where the time goes.

# %% tags=["remove-output", "hide-input"]
found = findings.measured(records)
compared = findings.compared(found)
glue("fig_ratios", ratios(compared), display=True)
glue("tab_sides", sides_table(found), display=True)
book.tell(findings.outcome(compared))
book.tell(findings.about(records))
book.tell(findings.algorithm1(records["algorithm1"]), prefix="algorithm1_")
book.tell(findings.algorithm1(records["algorithm1_small"]), prefix="small_")
book.tell(findings.listings(records["dro"]))
book.tell(findings.pgd(records["pgd"]))
book.tell(findings.pgd(records["pgd_gpu"]), prefix="gpu_")

# %% [markdown]
# ## Beside others
#
# ```{glue:figure} fig_ratios
# :alt: "Dots of how many times as long the other side takes in each comparison"
# :name: "fig-ratios"
#
# **Figure E17.** How many times as long the other side takes, for each of {glue:text}`n_rows` comparisons; right of the line this package is faster. The dot is the median over the turns (of two turns, their mean), beside the authors' code of PerC_AL, PPGD and LPA, which take one image a turn, over the images; the thin black line goes from the least to the greatest of them. Blue circles: ours is the faster in every turn; red diamonds: the other is; grey squares: turns disagree. *As it comes*: on the classifier as torchvision builds it; the other sides have this package's, with batch normalisation folded into convolutions. What was checked of the results is said above. Machines: {glue:text}`machines`.
# ```
#
# ```{glue:figure} tab_sides
# :name: "tab-sides"
#
# **Table E24.** The sides of each comparison that were measured turn by turn, ours in grey with ratio 1: seconds per image (at equal steps, per image and step; for Algorithm 2, per image that is attacked in a round; for Algorithm 3, per model; median over turns), ratio to ours, peak memory of a process that does this alone (beside authors' code, with both packages loaded), and the share of the machine's rate in a matrix product in float32, which a run can slightly exceed, and bfloat16 clearly; in float64 where a side computes in it.
# ```
#
# - **Algorithm 1** against its listing as one would write it on piq's PieAPP, one image at a time: {glue:text}`algorithm1_ratio:.2f` times at PieAPP's full width{glue:text}`algorithm1_and_reduced` ({glue:text}`algorithm1_machine`; `precision="bfloat16"` pays on a processor that has instructions for it).
#   The outcome is the same: as many successes, the same number of steps for each image, $L_2$ within {glue:text}`algorithm1_apart:.1f` %. With PieAPP-small ({glue:text}`small_machine`) the ratio is {glue:text}`small_ratio:.2f`, with $L_2$ within {glue:text}`small_apart:.2g` %. PieAPP-small and its gradient are 0 at the original, so ours computes none of it in an image's first step, and most images take few ({ref}`Table 1 <tab-1>`); the listing computes it in each.
# - **PGD** with early stop on {glue:text}`n_pgd` images: torchattacks takes {glue:text}`torchattacks:.0f` times as long and foolbox {glue:text}`foolbox:.0f` times, because neither lets images go that are done; stopped by hand, torchattacks takes {glue:text}`by_hand:.2f` times as long. Step by step, at equal numbers of steps, they are at {glue:text}`torchattacks_equal:.2f` and {glue:text}`foolbox_equal:.2f`, where foolbox asks the classifier once more at the end, about what it returns.
#   On a GPU ({glue:text}`gpu_machine`, {glue:text}`gpu_classifier`, {glue:text}`gpu_n_pgd` images of {glue:text}`gpu_size` × {glue:text}`gpu_size`) torchattacks takes {glue:text}`gpu_torchattacks:.1f` and foolbox {glue:text}`gpu_foolbox:.1f` times as long, torchattacks stopped by hand {glue:text}`gpu_by_hand:.1f` times, each the median over turns that differ severalfold ({glue:text}`gpu_torchattacks_turns`, {glue:text}`gpu_foolbox_turns`, {glue:text}`gpu_by_hand_turns`), since the choice of kernels for each new number of images falls into them; at equal numbers of steps they are at {glue:text}`gpu_torchattacks_equal:.2f` and {glue:text}`gpu_foolbox_equal:.2f`.
# - **Algorithms 2 and 3**: the listing of Algorithm 2, one image at a time, takes {glue:text}`listing_2:.0f` times as long as our batches; that of Algorithm 3 takes {glue:text}`listing_3:.0f` times as long for a model as {glue:text}`n_models` trained together in batches.
#
# The other is faster in every turn: {glue:text}`other`. Turns disagree: {glue:text}`open`. Records whose results were not equal: {glue:text}`unequal`.

# %% [markdown]
# ## More images

# %% tags=["remove-output", "hide-input"]
glue("tab_scaling", scaling_table(records["scaling"]), display=True)
book.tell(findings.scaling(records["scaling"]), prefix="scaling_")

# %% [markdown]
# ```{glue:figure} tab_scaling
# :name: "tab-scaling"
#
# **Table E25.** PGD (L₂) through `evaluate.run`, {glue:text}`scaling_size` × {glue:text}`scaling_size` pixels, {glue:text}`scaling_batch` at a time, each number of images in processes of its own. *Before*: memory of the process that has run one batch and holds the data set. *The run*: by how much the run raises its peak, where memory that is freed is given back.
# ```
#
# An image of the largest set costs {glue:text}`scaling_ratio:.2f` times what one of the smallest does: the cost grows with the number of images and not faster. The data set is held in memory as a whole, 12 bytes a pixel; beside it a run needs {glue:text}`scaling_least_work:.0f` MB for {glue:text}`scaling_least` images and {glue:text}`scaling_most_work:.0f` MB for {glue:text}`scaling_most`: a batch is held at a time.

# %% [markdown]
# ## What a GPU rounds

# %% tags=["remove-output", "hide-input"]
rounded = pd.read_parquet(results / "benchmarks" / "tf32.parquet")
on_cpu = {  # the same attacks in full float32
    "PGD (L2)": "a2_readings/pgd-l2",
    "Ours (a = 0)": "a2_readings/ours-a-0",
    "Ours (a = 1)": "a2_readings/ours-a-1",
    "Ours (a = 5)": "a2_readings/ours-a-5",
    "NPTM (LPA)": "03_2_pieapp/nptm-lpa",
    "NPTM (PPGD)": "03_2_pieapp/nptm-ppgd",
    "DDN": "03_2_pieapp/ddn",
}
full = {name: evaluate.load(results / "paper_cpu" / run) for name, run in on_cpu.items()}
pairs = findings.beside_full(rounded, full)
glue("tab_rounding", rounding_table(pairs), display=True)
book.tell(findings.rounding(rounded, pairs), prefix="rounding_")
book.tell(
    {"machine": records["tf32"]["machine"], "commit": records["tf32"]["commit"][:7]},
    prefix="rounding_",
)

# %% [markdown]
# PyTorch lets a GPU round the factors of convolutions to TF32, 11 significant bits of 24, unless one asks otherwise. Is the outcome the same? {ref}`Table E26 <tab-rounding>` compares attacks that were made so ({glue:text}`rounding_machine`, commit {glue:text}`rounding_commit`) with the same attacks on the same
# photographs on a CPU. Success was asked in full float32 both times.
#
# ```{glue:figure} tab_rounding
# :name: "tab-rounding"
#
# **Table E26.** Attacks made with convolutions rounded to TF32, on a GPU, and in full float32, on a CPU, on the same photographs: how many both attacked, the success rates, for how many the two agree, and the mean $L_2$ of the successful ones. ResNet-50, 299 × 299; ground cost of ours: PieAPP-small. DDN took 100 steps on the GPU and 40 on the CPU.
# ```
#
# An attack that stops behind the boundary, as PGD and Algorithm 1 do, ends as on a CPU: success agrees on {glue:text}`rounding_same` of {glue:text}`rounding_n`. One that comes back to the boundary does not: of all {glue:text}`rounding_ddn_n` photographs that DDN attacked with TF32, {glue:text}`rounding_ddn:.0f` % are misclassified in full float32; PerC_AL has {glue:text}`rounding_perc_al:.1f` % of {glue:text}`rounding_perc_al_n`. PPGD, which
# takes finite differences over a thousandth, has {glue:text}`rounding_ppgd:.1f` % of {glue:text}`rounding_ppgd_n`, and ends nearer to the noise that it starts from ({doc}`the appendix on readings <a2_readings>` says what that noise measures). So this package asks a GPU for full float32 wherever success is asked, in LPIPS and DISTS, and in all attacks but PGD and Algorithm 1 (`humimp.rounding`). Whoever wants the others fast gets what the table shows.

# %% [markdown]
# ## What came out
#
# Of {glue:text}`n_rows` comparisons, ours is the faster in every turn of {glue:text}`n_ours`, the other side in {glue:text}`n_other`; in {glue:text}`n_open` turns disagree. The large gains come from letting images that are done leave the batch (PGD), and from batches and from training models together (Algorithms 2 and 3). What remains is convolutions, which every library computes with the same routines. On a GPU that holds too, and there full float32 is what an attack needs that ends at the boundary. Set beside others on a GPU so far: {glue:text}`on_gpu`; `make bench DEVICE=cuda` measures all of it.
