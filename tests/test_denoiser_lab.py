"""The denoiser lab: its guesses against torch and the library, what it loads and when, what it says where it cannot.

The pages under test are those of lab_pages.py.
"""

import json
import re

import numpy as np
import pytest
import torch
import traitlets
from lab_pages import (
    ROOT,
    SETTINGS,
    check_with_axe,
    compute,
    lab_notebook,
    press,
    run_cell,
    take_webassembly_away,
    visit_in,
    visits,
    wait_for_python,
)
from torch.distributions import Categorical, Normal

from ncsn_lib import dataset_mixture, denoising_step, load_mnist, load_run
from ncsn_lib.classifiers import load_classifier
from ncsn_lib.labs import DenoiserLab
from ncsn_lib.labs.base import standalone
from ncsn_lib.labs.network_lab import NetworkLab
from ncsn_lib.metrics import classify_images

MODEL = ROOT / "book" / "results" / "models" / "mnist_small_wide.safetensors"
LAB = "document.querySelector('[data-lab=denoiser]')"
SHAPE = (1, 1, 28, 28)


@pytest.fixture(scope="module")
def run():
    return load_run(MODEL)


@pytest.fixture(scope="module")
def files(site):
    """What the pages may load, by name."""
    return json.loads((site / "a" / "book" / "_static" / "labs" / "files" / "files.json").read_text())


@pytest.fixture(scope="module")
def digits():
    """The training images, (60000, 1, 28, 28)."""
    return load_mnist("train").images


@pytest.fixture
def visit(chromium, address):
    with visits(chromium, f"{address}/denoiser.html", wait_for_size) as open_page:
        yield open_page


@pytest.fixture(scope="module")
def loaded(chromium, address):
    """A page that has loaded network and images, for the tests that compare numbers."""
    with visits(chromium, f"{address}/denoiser.html", wait_for_size) as open_page:
        page = open_page()
        load(page)
        yield page


def wait_for_size(page):
    """Wait until the main button tells how much it would load."""
    page.wait_for_selector("button.main:has-text('MB')")


def load(page):
    """Press the main button, and wait until all is there and answered."""
    page.locator("button.main").click()
    page.wait_for_selector("button.main", state="hidden")
    settle(page)


def settle(page):
    page.wait_for_selector(".denoiser-lab[data-asking=false]")


def turn(page, name, value):
    """Set a value of the model, and wait for what follows."""
    page.evaluate(f"([name, value]) => {LAB}.model.set(name, value)", [name, value])
    settle(page)


def held(page, name):
    """An array of the model, (1, 1, 28, 28); None where there is none."""
    numbers = page.evaluate(
        f"name => {{ const a = {LAB}.model.get(name); return a && [...new Float32Array(a.data.buffer)]; }}", name
    )
    return None if numbers is None else torch.tensor(numbers).view(SHAPE)


def facts(page):
    """The distances that are shown, as floats."""
    return [float(text) for text in page.locator(".denoiser-lab dd").all_inner_texts()]


def rms(a, b):
    return (a - b).square().mean().sqrt().item()


# The numbers


@pytest.mark.parametrize("sigma", [0.02, 0.3, 1.0, 10.0])
def test_the_exact_denoiser_is_the_librarys(quiet, sigma):
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(256, (300, 64), generator=generator, dtype=torch.uint8)
    points = images.double() / 255
    x = points[7] + sigma * torch.randn(64, generator=generator)
    argument = {"images": images.flatten().tolist(), "x": x.tolist(), "sigma": sigma}
    script = """(({ denoised, weights, best, effective }) => ({
      denoised: [...denoised], weights: [...weights], best, effective,
    }))(m.exactDenoiser(Uint8Array.from(a.images), Float32Array.from(a.x), a.sigma))"""
    got = compute(quiet, "exact", script, argument)
    x = x.float().double()[None]  # as the page gets it
    wanted = dataset_mixture(points).denoise(x, sigma)[0]
    # The page works in 64 bits and answers in 32, which is 6e-8 of a number up to 1.
    torch.testing.assert_close(torch.tensor(got["denoised"]).double(), wanted, rtol=0, atol=1e-6)
    weights = Categorical(logits=Normal(points, sigma).log_prob(x).sum(1))
    torch.testing.assert_close(torch.tensor(got["weights"]).double(), weights.probs, rtol=0, atol=1e-6)
    assert len(set(got["best"])) == 5
    torch.testing.assert_close(weights.probs[got["best"]], weights.probs.topk(5).values)  # among zeros any will do
    assert got["effective"] == pytest.approx(weights.entropy().exp().item(), rel=1e-6)


@pytest.mark.parametrize("sigma", [0.05, 0.5, 2.0, 12.0])
@pytest.mark.parametrize("num", [100, 10_000])
def test_the_page_shows_what_torch_computes(loaded, run, digits, sigma, num):
    page = loaded
    turn(page, "num_known", num)
    turn(page, "sigma", sigma)
    clean, noisy, score, denoised, exact = (held(page, n) for n in ("image", "noisy", "score", "denoised", "exact"))
    z = compute(page, "random", "m.normalFiller(m.uniformGenerator(0))(new Float32Array(784))")
    torch.testing.assert_close(noisy, clean + sigma * torch.tensor(z).view(SHAPE))
    with torch.no_grad():
        # Two runtimes in 32 bits, through some thirty layers: 1e-3 of the score's size, which is about 1 / sigma.
        torch.testing.assert_close(sigma * score, sigma * run.network(noisy, torch.tensor([sigma])), rtol=0, atol=1e-3)
    torch.testing.assert_close(denoised, denoising_step(lambda x, sigma: score, noisy, sigma))
    known = digits[:num].double()
    torch.testing.assert_close(exact.double(), dataset_mixture(known).denoise(noisy.double(), sigma), rtol=0, atol=1e-4)
    # What is shown has three digits that count.
    assert facts(page) == pytest.approx([rms(denoised, clean), rms(exact, clean), rms(denoised, exact)], rel=6e-3)
    weights = Categorical(logits=Normal(known, sigma).log_prob(noisy.double()).sum((1, 2, 3)))
    shown = page.inner_text(".denoiser-lab .made .place")
    effective = weights.entropy().exp().item()
    if effective < 1.005:
        assert shown == "as if of one image"
    else:
        number = re.fullmatch(r"as if of ([\d.,]+) images of equal weight", shown)[1]
        assert float(number.replace(",", "")) == pytest.approx(effective, rel=6e-3)
    best, numbers = weights.probs.topk(5)
    labels = page.locator(".parts canvas").evaluate_all("all => all.map(canvas => canvas.ariaLabel)")
    if best[-1] > 1e-6:  # else it is the rounding that decides which one is fifth
        assert labels == [f"Training image {number + 1:,}" for number in numbers.tolist()]
    words = page.locator(".parts figcaption").all_inner_texts()
    for word, weight in zip(words, best.tolist(), strict=True):
        assert word == "< 0.1 %" if weight < 1e-3 else float(word[:-2]) / 100 == pytest.approx(weight, rel=0.06)
    assert page.inner_text(".guesses .exact .place") == f"of {num:,} training images"


def test_what_is_painted(loaded):
    page = loaded
    turn(page, "sigma", 1.0)
    script = "canvas => [...canvas.getContext('2d').getImageData(0, 0, 28, 28).data]"
    shown = {}
    for name in ("noisy", "score", "guess", "exact"):
        shown[name] = torch.tensor(page.locator(f".guesses .{name} canvas").evaluate(script)).view(28, 28, 4)
    for name, array in (("noisy", "noisy"), ("guess", "denoised"), ("exact", "exact")):
        grey = 255 * held(page, array)[0, 0].clamp(0, 1)
        assert (shown[name][..., 0] - grey).abs().max() < 0.51
    score = held(page, "score")[0, 0]
    strong = score.abs() > 1  # where a browser that keeps colours multiplied by their opacity rounds them little
    orange = shown["score"][..., 0] > shown["score"][..., 2]
    assert torch.equal(orange[strong], score[strong] > 0)


def test_the_status_line_tells_it_once_the_knobs_rest(loaded):
    page = loaded
    turn(page, "num_known", 100)
    turn(page, "sigma", 0.5)
    page.wait_for_selector(".denoiser-lab .status:has-text('exact guess of 100 images')", state="attached")
    told = page.text_content(".denoiser-lab .status")
    network, exact, _ = facts(page)
    assert told.startswith("Noise of 0.5.")
    assert f"The network's guess is {network:.3g} from the drawing." in told
    shown = page.inner_text(".denoiser-lab .made .place")
    assert f"The exact guess of 100 images is {exact:.3g} from it, {shown}." in told


# The drawing


def test_drawing_by_pointer_and_keyboard_changes_the_guesses(loaded):
    page = loaded
    turn(page, "sigma", 0.3)
    page.get_by_role("button", name="Clear").click()
    settle(page)
    assert held(page, "image").abs().max() == 0
    canvas = page.locator(".sketch canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    corner = [box[side] + 0.3 * box[length] for side, length in (("x", "width"), ("y", "height"))]
    before = {name: held(page, name) for name in ("noisy", "score", "denoised", "exact")}
    page.mouse.move(*corner)
    page.mouse.down()
    page.mouse.move(corner[0], corner[1] + 0.4 * box["height"], steps=4)
    page.mouse.up()
    settle(page)
    drawn = held(page, "image")[0, 0]
    assert (drawn[9:19, 8] > 0.9).all()
    for name, old in before.items():
        assert rms(held(page, name), old) > 0.05, name
    assert held(page, "denoised")[0, 0, 9:19, 8].min() > 0.4
    old = held(page, "denoised")
    canvas.focus()
    for key in ["Shift+ArrowRight"] * 6:
        page.keyboard.press(key)
    settle(page)
    assert (held(page, "image")[0, 0, 14, 14:20] > 0.9).all()
    assert rms(held(page, "denoised"), old) > 0.05
    page.get_by_label("black").check()
    page.mouse.click(*corner)
    settle(page)
    assert held(page, "image")[0, 0, 8, 8] == 0


@pytest.mark.parametrize("shape", [[1, 28, 28], [3, 32, 32]], ids=str)
def test_ready_drawings(quiet, shape):
    names = compute(quiet, "drawings", "Object.keys(m.DRAWINGS)")
    assert names == ["3", "7", "8", "A face"]
    for name in names:
        pixels = torch.tensor(compute(quiet, "drawings", "m.drawingOf(...a)", [name, shape])).view(shape)
        assert pixels.min() == 0
        assert pixels.max() == 1
        rows, columns = (pixels[0].amax(axis).nonzero() for axis in (1, 0))
        assert shape[1] / 2 < rows.max() - rows.min() < shape[1]  # about as large as a digit of MNIST
        assert shape[2] / 4 < columns.max() - columns.min() < shape[2]


def test_ready_digits_are_digits_to_a_classifier(quiet):
    classifier = load_classifier(MODEL.with_name("mnist_classifier.safetensors"))
    drawn = [compute(quiet, "drawings", "m.drawingOf(a, [1, 28, 28])", digit) for digit in "378"]
    sure, classes = classify_images(classifier, torch.tensor(drawn).view(-1, *SHAPE[1:]))[1].max(1)
    assert classes.tolist() == [3, 7, 8]
    assert sure.min() > 0.9


# What is asked and loaded


def test_the_newest_values_win_and_one_question_is_under_way(loaded):
    page = loaded
    turn(page, "num_known", 10_000)
    script = f"""() => {{
      const {{ model }} = {LAB};
      const send = model.send;
      window.counted = {{ asked: 0, now: 0, most: 0 }};
      model.send = (content, ...rest) => {{
        counted.asked += 1;
        counted.most = Math.max(counted.most, ++counted.now);
        send.call(model, content, ...rest);
      }};
      model.on("msg:custom", ({{ progress }}) => {{ if (!progress) counted.now -= 1; }});
    }}"""
    page.evaluate(script)
    slider = page.get_by_label("noise level")
    slider.focus()
    for _ in range(40):
        page.keyboard.press("ArrowRight")
    settle(page)
    counted = page.evaluate("window.counted")
    assert counted["most"] == 1
    assert counted["now"] == 0
    assert 2 <= counted["asked"] <= 80
    sigma = page.evaluate(f"{LAB}.model.get('sigma')")
    assert sigma == float(slider.get_attribute("aria-valuetext")) > 1
    z = compute(page, "random", "m.normalFiller(m.uniformGenerator(0))(new Float32Array(784))")
    torch.testing.assert_close(held(page, "noisy"), held(page, "image") + sigma * torch.tensor(z).view(SHAPE))
    noisy, score = held(page, "noisy"), held(page, "score")
    torch.testing.assert_close(held(page, "denoised"), noisy + sigma**2 * score)


def test_nothing_is_loaded_before_the_button_and_progress_is_told(visit, files):
    page = visit()
    asked = []
    page.on("request", lambda request: asked.append(request.url.rsplit("/", 1)[-1]))
    page.reload()
    button = page.locator("button.main:has-text('MB')")
    button.wait_for()
    page.get_by_label("noise level").fill("0.5")
    assert "files.json" in asked
    assert [name for name in asked if name.endswith((".gz", ".mjs"))] == []
    network = files["runtimes"]["wasm"]["bytes"] + files["network"]["bytes"]
    parts = [part["bytes"] for part in files["digits"]]
    assert button.inner_text() == f"Load the network and 10,000 digits ({(network + parts[0]) / 1e6:.1f} MB)"
    page.get_by_label("60,000").check()
    assert button.inner_text() == f"Load the network and 60,000 digits ({(network + sum(parts)) / 1e6:.1f} MB)"
    page.get_by_label("1,000", exact=True).check()
    assert button.inner_text() == f"Load the network and 1,000 digits ({(network + parts[0]) / 1e6:.1f} MB)"
    assert page.locator("progress:visible").count() == 0
    page.evaluate(
        """() => {
          window.said = [];
          for (const words of document.querySelectorAll(".loading .hint"))
            new MutationObserver(() => said.push(words.textContent)).observe(words, { childList: true });
        }"""
    )
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("button.main", state="hidden")
    settle(page)
    assert page.evaluate("document.activeElement.type") == "range"  # not lost with the button
    said = page.evaluate("window.said")
    assert {"connecting", "preparing the network", "preparing the training images"} <= set(said)
    assert any(re.fullmatch(rf"the network: [\d.]+ MB of {network / 1e6:.1f} MB", words) for words in said)
    assert page.locator("progress:visible").count() == 0
    assert sorted(name for name in asked if name.startswith("digits")) == ["digits_0.gz"]


def test_more_images_are_loaded_when_asked_for_while_the_network_answers(visit, digits):
    page = visit()
    load(page)
    asked, waiting = [], []
    page.on("request", lambda request: asked.append(request.url.rsplit("/", 1)[-1]))
    page.route("**/digits_1.gz", lambda route: waiting.append(route))
    with page.expect_request("**/digits_1.gz"):
        page.get_by_label("60,000").check()
    page.wait_for_selector("progress:visible")
    old = held(page, "denoised")
    turn(page, "sigma", 0.5)  # while the next ten thousand are on their way
    assert rms(held(page, "denoised"), old) > 0.01
    assert page.inner_text(".guesses .exact .place") == "of 10,000 training images"
    waiting[0].continue_()
    page.wait_for_function("() => document.querySelector('.guesses .exact .place').textContent.includes('60,000')")
    settle(page)
    assert asked == [f"digits_{part}.gz" for part in range(1, 6)]
    exact = dataset_mixture(digits.double()).denoise(held(page, "noisy").double(), 0.5)
    torch.testing.assert_close(held(page, "exact").double(), exact, rtol=0, atol=1e-4)
    page.get_by_label("100", exact=True).check()
    settle(page)
    assert page.inner_text(".guesses .exact .place") == "of 100 training images"


# What the tasks ask for, by keyboard alone


def begin(page, title, drawing):
    press(page, page.get_by_role("button", name=title), "Enter")
    settle(page)
    drawn = torch.tensor(compute(page, "drawings", "m.drawingOf(...a)", [drawing, SHAPE[1:]])).view(SHAPE)
    torch.testing.assert_close(held(page, "image"), drawn)
    return page.get_by_label("noise level σ")


def first_weight(page):
    """The weight of the training image that the exact guess is mostly made of, in per cent."""
    return float(page.locator(".parts figcaption").first.inner_text().strip("< %"))


def test_task_when_the_copy_is_chosen(loaded):
    page = loaded
    sigma = begin(page, "When is the copy chosen?", "3")
    assert page.get_by_label("100", exact=True).is_checked()
    assert first_weight(page) < 5
    press(page, sigma, "ArrowLeft", 50)
    settle(page)
    assert first_weight(page) > 90


def test_task_something_that_is_no_digit(loaded):
    page = loaded
    sigma = begin(page, "Something that is no digit", "A face")
    before = float(sigma.get_attribute("aria-valuetext"))
    assert before not in (0.3, 1, 3)
    press(page, sigma, "ArrowLeft", 40)
    settle(page)
    assert 0.5 < value_of(page, "sigma") < 1
    assert facts(page)[0] < 0.35


def test_task_better_than_perfect(loaded):
    page = loaded
    begin(page, "Better than perfect?", "7")
    press(page, page.get_by_label("10,000"), "ArrowRight")
    page.wait_for_function("() => document.querySelector('.guesses .exact .place').textContent.includes('60,000')")
    press(page, page.locator(".sketch canvas"), "Shift+ArrowDown", 4)
    settle(page)
    assert held(page, "image")[0, 0, 14:18, 14].min() > 0.9
    assert len(facts(page)) == 3


def value_of(page, name):
    return page.evaluate(f"{LAB}.model.get('{name}')")


# Where it cannot


def alerts(page):
    page.wait_for_selector("[role=alert]:not(:empty)")
    return page.locator("[role=alert]").all_inner_texts()


def test_without_webassembly_the_page_says_so_and_the_exact_guess_works(page, address, digits):
    take_webassembly_away(page)
    page.goto(f"{address}/denoiser.html")
    page.locator("button.main:has-text('MB')").click()
    page.wait_for_selector("button.main:has-text('Try again')")
    settle(page)
    told = alerts(page)
    assert told[0].startswith("This browser has no WebAssembly")
    assert told[1] == ""
    assert held(page, "denoised") is None
    wanted = dataset_mixture(digits[:10_000].double()).denoise(held(page, "noisy").double(), 1.0)
    torch.testing.assert_close(held(page, "exact").double(), wanted, rtol=0, atol=1e-4)


def test_without_digits_the_page_says_so_and_the_network_works(visit, files, run):
    page = visit()
    page.route("**/files.json", lambda route: route.fulfill(json={**files, "digits": []}))
    page.reload()
    network = files["runtimes"]["wasm"]["bytes"] + files["network"]["bytes"]
    button = page.locator("button.main:has-text('MB')")
    button.wait_for()
    assert button.inner_text() == f"Load the network ({network / 1e6:.1f} MB)"
    button.click()
    page.wait_for_selector("button.main:has-text('Try again')")
    told = alerts(page)
    assert told[0] == ""
    assert told[1].startswith("This copy of the book was built without MNIST's training images")
    turn(page, "sigma", 0.5)
    noisy = held(page, "noisy")
    with torch.no_grad():
        wanted = denoising_step(run.network, noisy, 0.5)
    torch.testing.assert_close(held(page, "denoised"), wanted, rtol=0, atol=1e-3)
    assert held(page, "exact") is None


def test_a_download_that_fails_is_told_and_can_be_tried_again(page, address):
    for name in ("*.onnx.gz", "digits_0.gz"):
        page.route(f"**/{name}", lambda route: route.fulfill(status=404))
    page.goto(f"{address}/denoiser.html")
    page.locator("button.main:has-text('MB')").click()
    page.wait_for_selector("button.main:has-text('Try again')")
    told = alerts(page)
    assert "mnist_small_wide.onnx.gz could not be loaded: the server says 404." in told[0]
    assert "digits_0.gz could not be loaded: the server says 404." in told[1]
    for name in ("*.onnx.gz", "digits_0.gz"):
        page.unroute(f"**/{name}")
    load(page)
    assert page.locator("[role=alert]").all_inner_texts() == ["", ""]
    assert held(page, "denoised") is not None
    assert held(page, "exact") is not None


@pytest.mark.parametrize(("size", "scheme"), SETTINGS)
def test_no_reader_is_barred(visit, size, scheme):
    page = visit_in(visit, size, scheme)
    load(page)
    check_with_axe(page, {"label", "color-contrast", "button-name"})
    tops = [round(page.locator(f".guesses .{name} .stage").bounding_box()["y"]) for name in ("noisy", "score", "guess")]
    assert tops[0] == tops[1] < tops[2]  # two and two, also on a phone


# The widget


def test_page_and_widget_begin_with_the_same_values(quiet, run):
    lab = DenoiserLab(run, torch.zeros(10_000, 1, 28, 28))
    names = [
        name
        for owner in (DenoiserLab, NetworkLab)
        for name, trait in owner.class_own_traits().items()
        if trait.metadata.get("sync") and not name.startswith("_")
    ]
    assert compute(quiet, "denoiser_lab", "m.DEFAULTS") == {name: getattr(lab, name) for name in names}


def test_its_front_end_stands_alone_as_one_text():
    text = standalone("denoiser_lab.js")
    assert 'from "./' not in text
    assert "import.meta" not in text


@pytest.fixture
def asking(run, monkeypatch):
    """Gives a function that asks a lab of twelve images, and returns what it said and the arrays it sent."""
    lab = DenoiserLab(run, (255 * torch.rand(12, *SHAPE[1:], generator=torch.Generator().manual_seed(0))).byte())
    sent = []
    monkeypatch.setattr(lab, "send", lambda content, buffers: sent.append((content, buffers)))

    def ask(what, *arrays, **said):
        lab._hear(lab, {"id": "5", "ask": what, **said}, [memoryview(a.numpy()).cast("B") for a in arrays])
        content, buffers = sent.pop()
        assert content.pop("id") == "5"
        return content, [torch.frombuffer(bytearray(b), dtype=torch.float32).view(SHAPE) for b in buffers]

    ask.lab = lab
    return ask


def test_python_answers(asking, run):
    x = torch.rand(SHAPE)
    assert asking("sizes") == ({"network": 0, "digits": []}, [])
    assert asking("prepare")[0]["backend"] == "PyTorch"
    assert asking("images", num=12) == ({}, [])
    said, (score,) = asking("score", x, torch.tensor([0.5]), shape=list(SHAPE))
    assert said == {}
    with torch.no_grad():
        torch.testing.assert_close(score, run.network(x, torch.tensor([0.5])))
    said, (exact, *best) = asking("exact", x, num=10, sigma=0.5)
    known = asking.lab.images[:10].double() / 255
    # float32 here, and squared distances of 784 pixels.
    torch.testing.assert_close(exact.double(), dataset_mixture(known).denoise(x.double(), 0.5), rtol=0, atol=1e-4)
    weights = Categorical(logits=Normal(known, 0.5).log_prob(x.double()).sum((1, 2, 3)))
    top = weights.probs.topk(5)
    assert said["best"] == top.indices.tolist()
    assert said["weights"] == pytest.approx(top.values.tolist(), rel=1e-3)
    assert said["effective"] == pytest.approx(weights.entropy().exp().item(), rel=1e-3)
    torch.testing.assert_close(torch.cat(best).double(), known[top.indices])


def test_python_says_why_not(asking, run):
    for question in ("images", "exact"):
        said, arrays = asking(question, *([torch.rand(SHAPE)] if question == "exact" else []), num=13, sigma=1.0)
        assert said == {"error": "the lab has 12 images, got num = 13: hand it more, or ask for fewer"}
        assert arrays == []
    asking.lab.images = None
    told = "the exact denoiser needs the training images: hand them to the lab, as `images`"
    assert asking("images", num=1)[0] == {"error": told}


def test_a_lab_follows_its_network_and_refuses(run):
    for images in (torch.zeros(12, 1, 28, 28), np.zeros((12, 1, 28, 28), dtype=np.uint8)):
        assert DenoiserLab(run, images).num_known == 12
    narrow = load_run(MODEL.with_name("mnist_small.safetensors"))
    assert DenoiserLab(narrow).sigma_range == [0.05, 1.0]
    assert DenoiserLab(narrow, sigma=0.2).sigma == 0.2
    with pytest.raises(ValueError, match=r"images must be \(N, 1, 28, 28\), got \(3, 28, 28\)"):
        DenoiserLab(run, torch.zeros(3, 28, 28))
    lab = DenoiserLab(run)
    refused = {
        "sigma": (13.0, r"sigma must be from 0.05 to 12.0, the lab's range, got 13.0"),
        "sigma_range": ([2.0, 1.0], r"sigma_range must be two rising levels above 0, got \[2.0, 1.0\]"),
        "num_known": (0, "num_known"),
        "image": (
            2 * torch.ones(SHAPE),
            r"image must be one image in \[0, 1\], got \(1, 1, 28, 28\) from \[2.0, 2.0\]",
        ),
        "exact": (torch.zeros(28, 28), r"exact must be \(B, 1, 28, 28\), got \(28, 28\)"),
    }
    for name, (value, told) in refused.items():
        before = getattr(lab, name)
        with pytest.raises(traitlets.TraitError, match=told):
            setattr(lab, name, value)
        assert getattr(lab, name) == before
    with pytest.raises(traitlets.TraitError, match=r"sigma must be from 0.05 to 1.0, the lab's range, got 3.0"):
        DenoiserLab(narrow, sigma=3.0)


SET = """
lab, images = denoiser_lab, load_mnist("train").images
lab.num_known = 100
lab.image = images[3:4]
lab.sigma = 0.3
"""
READ = """
import json
from pathlib import Path
there = lab.exact is not None and lab.denoised is not None
near = there and (lab.exact - images[3]).abs().max().item() < 1e-3
said = [lab.sigma, lab.num_known, near, list(lab.denoised.shape) if there else None]
_ = Path("said.json").write_text(json.dumps(said))
"""


def test_python_and_the_widget_in_jupyterlab(jupyterlab):
    with lab_notebook(jupyterlab, "DenoiserLab", (SET, READ)) as (page, folder):
        page.locator(".denoiser-lab button.main:has-text('Start')").click()
        page.wait_for_selector(".denoiser-lab button.main", state="hidden")
        run_cell(page, 1)
        page.wait_for_selector(".denoiser-lab .status:has-text('Noise of 0.3.')", state="attached")
        assert "PyTorch" in page.inner_text(".denoiser-lab .guess .place")
        assert page.get_by_label("100", exact=True).is_checked()
        wait_for_python(page, 2, folder / "said.json", [0.3, 100, True, list(SHAPE)])
