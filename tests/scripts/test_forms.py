"""Each form a script may take, one small script for each; the oracle is what MATLAB documents of the form, worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.errors import UnreadableError
from bridge.network import Network
from bridge.networks.build import architecture
from bridge.recipes.recipe import Recipe
from bridge.scripts import Reading, read

TRAIN = "\noptions = trainingOptions('sgdm');\nnet = trainNetwork(imds, {0}, options);\n"
CLASSES = ("a", "b", "c", "d", "e")


def reading(folder: Path, source: str, **beside: str) -> Reading:
    for name, text in beside.items():
        (folder / f"{name}.m").write_text(text, encoding="utf-8")
    path = folder / "script.m"
    path.write_text(source, encoding="utf-8")
    return read(path)


def made(found: Reading, name: str) -> Network:
    """The network that a recipe makes of an untrained one."""
    assert found.recipe is not None, found.not_understood
    network = architecture(name)
    for edit in found.recipe.edits:
        network = edit.apply(network, CLASSES)
    return network


def rates(network: Network, layer: str) -> tuple[object, ...]:
    return tuple(each.learn_rate_factor for each in network.layers[layer].learnables.values())


FREEZING = {
    "indices": "layers(2).WeightLearnRateFactor = 0; layers(2).BiasLearnRateFactor = 0;",
    "loop": "for i = 1:3\n if isprop(layers(i),'WeightLearnRateFactor')\n layers(i).WeightLearnRateFactor = 0;\n layers(i).BiasLearnRateFactor = 0;\n end\nend",
    "names of properties": "names = {'WeightLearnRateFactor','BiasLearnRateFactor'};\nfor i = 1:numel(names), layers(2).(names{i}) = 0; end",
    "regexp": "props = properties(layers(2));\nfor p = 1:numel(props)\n name = props{p};\n if ~isempty(regexp(name,'LearnRateFactor$','once'))\n layers(2).(name) = 0;\n end\nend",
    "helper": "layers(1:3) = freezeWeights(layers(1:3));",
    "while": "k = 2;\nwhile k < 3\n layers(k).WeightLearnRateFactor = 0; layers(k).BiasLearnRateFactor = 0;\n k = k + 1;\nend",
    "switch": "switch 'low'\n case {'high','top'}\n n = 5;\n case 'low'\n n = 2;\nend\nlayers(n) = setLearnRateFactor(layers(n),'Weights',0);\nlayers(n) = setLearnRateFactor(layers(n),'Bias',0);",
    "struct": "s.first = 2; s.value = 0;\nlayers(s.first).WeightLearnRateFactor = s.value; layers(s.first).BiasLearnRateFactor = s.value;",
    "end": "layers(end-23).WeightLearnRateFactor = 0; layers(end-23).BiasLearnRateFactor = 0;",
    "arrayfun": "is = arrayfun(@(l) isprop(l,'WeightLearnRateFactor'), layers);\nk = find(is, 1);\nlayers(k).WeightLearnRateFactor = 0; layers(k).BiasLearnRateFactor = 0;",
}


@pytest.mark.parametrize("form", FREEZING)
def test_freezing(form: str, tmp_path: Path) -> None:
    found = reading(tmp_path, f"net = alexnet;\nlayers = net.Layers;\n{FREEZING[form]}\n{TRAIN.format('layers')}")
    network = made(found, "alexnet")
    assert found.exit_code == 0, found.not_understood
    assert rates(network, "conv1") == (0, 0)
    assert rates(network, "conv2") == rates(architecture("alexnet"), "conv2")


CONSTRUCTORS = {
    "single quotes": "fullyConnectedLayer(7,'Name','new','WeightLearnRateFactor',3,'BiasL2Factor',2)",
    "double quotes": 'fullyConnectedLayer(7,"Name","new","WeightLearnRateFactor",3,"BiasL2Factor",2)',
    "equals": "fullyConnectedLayer(7,Name='new',WeightLearnRateFactor=3,BiasL2Factor=2)",
    "equals with spaces": 'fullyConnectedLayer(7, Name = "new", WeightLearnRateFactor = 3, BiasL2Factor = 2)',
    "any case": "fullyConnectedLayer(7,'name','new','weightlearnratefactor',3,'BIASL2FACTOR',2)",
    "continued": "fullyConnectedLayer(7, ... the number of classes\n 'Name', ...\n 'new', ... % a comment, with 'quotes'\n 'WeightLearnRateFactor',3,...\n 'BiasL2Factor',2)",
    "computed": "fullyConnectedLayer(2*3+1,'Name',['n' 'ew'],'WeightLearnRateFactor',sqrt(9),'BiasL2Factor',numel({1,2}))",
}


@pytest.mark.parametrize("form", CONSTRUCTORS)
def test_name_value_arguments(form: str, tmp_path: Path) -> None:
    source = (
        f"net = vgg16;\nlgraph = replaceLayer(layerGraph(net),'fc8',{CONSTRUCTORS[form]});\n{TRAIN.format('lgraph')}"
    )
    layer = made(reading(tmp_path, source), "vgg16").layers["new"]
    assert (layer.OutputSize, layer.WeightLearnRateFactor, layer.BiasLearnRateFactor, layer.BiasL2Factor) == (
        7,
        3,
        1,
        2,
    )


SURGERY = {
    "range": "lgraph = [net.Layers(1:end-3); fullyConnectedLayer(4,'Name','new'); softmaxLayer; classificationLayer];",
    "newlines": "lgraph = [\n net.Layers(1:end-3)\n fullyConnectedLayer(4,'Name','new') % comment\n\n softmaxLayer\n classificationLayer];",
    "assignment": "lgraph = net.Layers;\nlgraph(end-2) = fullyConnectedLayer(4,'Name','new');\nlgraph(end) = classificationLayer;",
    "names": "lgraph = layerGraph(net);\nlgraph = replaceLayer(lgraph,lgraph.Layers(end-2).Name,fullyConnectedLayer(4,'Name','new'));",
    "removal": "lgraph = layerGraph(net.Layers);\nlgraph = removeLayers(lgraph,{'fc8','prob','output'});\nlgraph = addLayers(lgraph,[fullyConnectedLayer(4,'Name','new');softmaxLayer('Name','s');classificationLayer('Name','c')]);\nlgraph = connectLayers(lgraph,'drop7','new');",
    "helper": "lgraph = layerGraph(net.Layers);\n[old,last] = findLayersToReplace(lgraph);\nlgraph = replaceLayer(lgraph,old.Name,fullyConnectedLayer(4,'Name','new'));\nlgraph = replaceLayer(lgraph,last.Name,classificationLayer('Name','c'));",
    "deletion": "lgraph = net.Layers;\nlgraph(end-2:end) = [];\nlgraph = [lgraph; fullyConnectedLayer(4,'Name','new'); softmaxLayer; classificationLayer];",
}


@pytest.mark.parametrize("form", SURGERY)
def test_surgery(form: str, tmp_path: Path) -> None:
    network = made(reading(tmp_path, f"net = alexnet;\n{SURGERY[form]}\n{TRAIN.format('lgraph')}"), "alexnet")
    names = [layer.name for layer in network.order]
    assert [layer.kind for layer in network.order[-3:]] == [
        "FullyConnectedLayer",
        "SoftmaxLayer",
        "ClassificationOutputLayer",
    ]
    assert names[-4:-2] == ["drop7", "new"] and network.layers["new"].OutputSize == 4 and len(names) == 25


def test_factors_in_three_forms(tmp_path: Path) -> None:
    source = """net = imagePretrainedNetwork("resnet18");
layer = setLearnRateFactor(net.Layers(2),"Weights",5);
net = replaceLayer(net,"conv1",layer);
net = setLearnRateFactor(net,"fc1000","Weights",20);
net = setL2Factor(net,"fc1000/Bias",0.5);
options = trainingOptions("adam");
net = trainnet(imds,net,"crossentropy",options);
"""
    found = reading(tmp_path, source)
    network = made(found, "resnet18")
    assert found.recipe is not None and found.recipe.trainer == "trainnet"
    assert network.layers["conv1"].WeightLearnRateFactor == 5 and network.layers["fc1000"].WeightLearnRateFactor == 20
    assert network.layers["fc1000"].BiasL2Factor == 0.5


def test_functions_beside_the_script(tmp_path: Path) -> None:
    helper = "function layers = slow(layers, factor)\nfor i = 1:numel(layers)\n if isprop(layers(i),'WeightLearnRateFactor')\n  layers(i).WeightLearnRateFactor = factor;\n end\nend\nend\n"
    found = reading(
        tmp_path, f"net = alexnet;\nlayers = slow(net.Layers, 0.25);\n{TRAIN.format('layers')}", slow=helper
    )
    assert {each.WeightLearnRateFactor for each in made(found, "alexnet").layers if each.learnables} == {0.25}


def test_what_is_not_known_on_both_sides_of_a_branch_is_not_guessed(tmp_path: Path) -> None:
    source = f"net = alexnet;\nlayers = net.Layers;\nif rand > 0.5\n layers(2).WeightLearnRateFactor = 0;\nend\n{TRAIN.format('layers')}"
    found = reading(tmp_path, source)
    assert found.recipe is None and found.exit_code == 3
    assert [entry.line for entry in found.not_understood] == [3]


def test_options_are_merged_one_by_one(tmp_path: Path) -> None:
    options = "trainingOptions('adam','MaxEpochs',{0},'MiniBatchSize',8)"
    source = f"if fast()\n options = {options.format(2)};\nelse\n options = {options.format(9)};\nend\nnet = trainNetwork(x,y,vgg16('Weights','none'),options);\n"
    found = reading(tmp_path, source)
    assert found.recipe is not None and found.recipe.options.MiniBatchSize == 8
    assert [entry.what.split()[0] for entry in found.not_understood] == ["MaxEpochs"]


def test_a_loop_that_cannot_be_followed_is_not_guessed(tmp_path: Path) -> None:
    source = f"net = alexnet;\nlayers = net.Layers;\ni = 1;\nwhile i < limit()\n layers(i).Name = 'x';\n i = i + 1;\nend\n{TRAIN.format('layers')}"
    assert reading(tmp_path, source).recipe is None


def test_an_unknown_number_is_listed_and_the_rest_is_read(tmp_path: Path) -> None:
    source = "net = vgg19;\nopts = trainingOptions('adam','InitialLearnRate',lr,'MaxEpochs',4);\nnet = trainNetwork(x,y,net.Layers,opts);\n"
    found = reading(tmp_path, source)
    assert found.recipe is not None and found.recipe.options.MaxEpochs == 4
    assert [(entry.line, "InitialLearnRate" in entry.what) for entry in found.not_understood] == [(2, True)]


def test_custom_loop_is_kept_and_not_understood(tmp_path: Path) -> None:
    source = """net = imagePretrainedNetwork("resnet18");
velocity = [];
while hasdata(mbq)
    [X,T] = next(mbq);
    [loss,gradients] = dlfeval(@modelLoss,net,X,T);
    [net,velocity] = sgdmupdate(net,gradients,velocity,0.02,0.8);
end
"""
    found = reading(tmp_path, source)
    assert found.exit_code == 3 and [entry.line for entry in found.kept] == [5, 6]
    assert found.recipe is not None
    options = found.recipe.options
    assert (options.solver, options.InitialLearnRate, options.Momentum, options.L2Regularization) == (
        "sgdm",
        0.02,
        0.8,
        0,
    )


def test_a_training_that_is_switched_off_is_read(tmp_path: Path) -> None:
    source = "doTraining = false;\nnet = alexnet;\noptions = trainingOptions('adam');\nif doTraining\n net = trainNetwork(x,y,net.Layers,options);\nelse\n load('trained.mat');\nend\n"
    found = reading(tmp_path, source)
    assert found.exit_code == 0 and any("switched off" in entry.what for entry in found.reports)


def test_a_wrong_line_costs_itself_alone(tmp_path: Path) -> None:
    """It is listed with its source, and everything else is read: the layers stay what they were before it."""
    for source, words in (
        ("layers(1:10) = freezeWeights(layers(1:8));", "10 layers on the left, 8 on the right"),
        ("layers(26).WeightLearnRateFactor = layers(99).BiasLearnRateFactor;", "no element 99"),
        ("g = replaceLayer(layerGraph(net),'fc9',softmaxLayer('Name','s'));", "no layer 'fc9'"),
    ):
        freeze = "layers(2).WeightLearnRateFactor = 0;"
        found = reading(tmp_path, f"net = alexnet;\nlayers = net.Layers;\n{source}\n{freeze}\n{TRAIN.format('layers')}")
        (entry,) = found.not_understood
        assert (entry.line, entry.text) == (3, source) and words in entry.what
        assert found.exit_code == 3
        assert rates(made(found, "alexnet"), "conv1") == (0, 2) and rates(made(found, "alexnet"), "fc8") == (1, 2)


WRONG = {
    "a call": "g = replaceLayer(g, 'fc9', softmaxLayer('Name','s'));",
    "a name on a line of its own": "name = g.Layers(99).Name;\ng = replaceLayer(g, name, softmaxLayer('Name','s'));",
    "an argument": "g = replaceLayer(g, g.Layers(99).Name, softmaxLayer('Name','s'));",
    "in a loop": "for i = 1:3\n g = replaceLayer(g, 'fc9', softmaxLayer('Name','s'));\nend",
    "in a function": "g = wrong(g);",
    "a property": "w = g.Layers(99).Name;",
    "options": "o = trainingOptions('sgdm', 'MaxEpochs', g.Layers(99).Stride);",
}


@pytest.mark.parametrize("form", WRONG)
def test_a_wrong_line_in_many_forms(form: str, tmp_path: Path) -> None:
    """The network is trained as it would be without the line, and exit code 3 says that one was passed over."""
    function = "function g = wrong(g)\n g = replaceLayer(g, 'fc9', softmaxLayer('Name','s'));\nend\n"
    new = "g = replaceLayer(g, 'fc8', fullyConnectedLayer(4,'Name','new'));"
    source = f"g = layerGraph(alexnet);\n{WRONG[form]}\n{new}\n{TRAIN.format('g')}{function}"
    found = reading(tmp_path, source)
    assert found.exit_code == 3 and any("passed over" in entry.what for entry in found.not_understood)
    network = made(found, "alexnet")
    assert network.layers["new"].OutputSize == 4 and len(network.layers) == 25
    assert found.recipe is not None and found.recipe.options.solver == "sgdm"


def test_positions_of_an_earlier_release(tmp_path: Path) -> None:
    """The list of resnet18 had a layer more behind the input up to R2019a: a script that counts so is told apart."""
    start = "net = resnet18;\nlgraph = layerGraph(net);\n"
    last = "lgraph = replaceLayer(lgraph, lgraph.Layers({}).Name, classificationLayer('Name','new'));\n"
    for position, told in ((72, True), (73, False)):
        found = reading(tmp_path, start + last.format(position) + TRAIN.format("lgraph"))
        (entry,) = found.not_understood
        assert entry.line == 3 and ("up to R2019a" in entry.what) == told
    assert reading(tmp_path, start + last.format(71) + TRAIN.format("lgraph")).exit_code == 0


def test_a_wrong_line_in_a_try_is_caught(tmp_path: Path) -> None:
    source = "g = layerGraph(alexnet);\ntry\n g = replaceLayer(g,'fc9',softmaxLayer('Name','s'));\ncatch\n{}\nend\n"
    caught = "g = replaceLayer(g, 'fc8', fullyConnectedLayer(4,'Name','new'));"
    found = reading(tmp_path, source.format(caught) + TRAIN.format("g"))
    assert found.exit_code == 0 and made(found, "alexnet").layers["new"].OutputSize == 4


TRAPS = {
    "images with 1 channel": "ds = augmentedImageDatastore([227 227 1],imds);",
    "scales pixels to 0..1": "imds.ReadFcn = @(f) im2double(imread(f)); ds = augmentedImageDatastore([227 227],imds);",
    "pools everything already": "ds = imds; g = replaceLayer(g,'prob',[globalAveragePooling2dLayer('Name','gap');softmaxLayer('Name','p')]);",
}


@pytest.mark.parametrize("words", TRAPS)
def test_traps_are_reported(words: str, tmp_path: Path) -> None:
    source = f"g = layerGraph(squeezenet);\nimds = imageDatastore('t');\n{TRAPS[words]}\noptions = trainingOptions('sgdm');\ntrainNetwork(ds,g,options);\n"
    found = reading(tmp_path, source)
    assert any(words in entry.what for entry in found.reports), found.reports


def test_data(tmp_path: Path) -> None:
    source = """imds = imageDatastore(fullfile('photos','all'),'IncludeSubfolders',true,'LabelSource','foldernames');
[a,b,c] = splitEachLabel(imds,0.6,0.2,'randomized');
augmenter = imageDataAugmenter('RandYReflection',1,RandRotation=[-5 5]);
ds = augmentedImageDatastore([100 120],a,'DataAugmentation',augmenter,'ColorPreprocessing','gray2rgb','OutputSizeMode','centercrop');
n = floor(numel(a.Files)/16);
options = trainingOptions('rmsprop','MiniBatchSize',16,'ValidationFrequency',n,'ValidationData',augmentedImageDatastore([100 120],b));
net = trainNetwork(ds,layerGraph(googlenet),options);
"""
    found = reading(tmp_path, source)
    assert found.recipe is not None and found.exit_code == 0, found.not_understood
    data = found.recipe.data
    assert (data.path, data.split, data.randomized, data.size, data.validate_each_epoch) == (
        "photos/all",
        (0.6, 0.2),
        True,
        (100, 120),
        True,
    )
    assert (data.ColorPreprocessing, data.OutputSizeMode) == ("gray2rgb", "centercrop")
    assert dict(data.augmentation) == {"RandYReflection": True, "RandRotation": (-5, 5)}


def test_recipe_is_written_with_lines_and_reads_back(tmp_path: Path) -> None:
    source = "net = alexnet;\nimds = imageDatastore('t','LabelSource','foldernames');\nopts = trainingOptions('adam', ...\n 'MaxEpochs', 3);\ntrainNetwork(imds, net.Layers, opts);\n"
    found = reading(tmp_path, source)
    assert "MaxEpochs = 3  # line 4: 'MaxEpochs', 3);" in found.to_toml()
    (tmp_path / "out").mkdir()
    written = Recipe.load(found.save(tmp_path / "out" / "recipe.toml"))
    assert written.data.path == "../t" and found.recipe is not None and written.options == found.recipe.options


def test_nothing_found(tmp_path: Path) -> None:
    for source in ("", "x = 1;", "function f\nend\n"):
        with pytest.raises(UnreadableError, match="no training"):
            reading(tmp_path, source)


SHAPES = {
    "size of a column": "idx = [2; 6];\nfor i = 1:size(idx,1)\n layers(idx(i)).WeightLearnRateFactor = 0; layers(idx(i)).BiasLearnRateFactor = 0;\nend",
    "a column turned": "idx = [2; 6];\nfor i = idx'\n layers(i).WeightLearnRateFactor = 0; layers(i).BiasLearnRateFactor = 0;\nend",
    "size of properties": "for k = [2 6]\n p = properties(layers(k));\n for j = 1:size(p,1)\n  if endsWith(p{j},'LearnRateFactor'), layers(k).(p{j}) = 0; end\n end\nend",
    "a found column turned": "is = arrayfun(@(l) any(strcmp(l.Name,{'conv1','conv2'})), layers);\nfor i = find(is)'\n layers(i).WeightLearnRateFactor = 0; layers(i).BiasLearnRateFactor = 0;\nend",
    "the last of a row": "idx = [9 9 2; 9 9 6];\nfor r = 1:2\n k = idx(r,end);\n layers(k).WeightLearnRateFactor = 0; layers(k).BiasLearnRateFactor = 0;\nend",
    "a known break": "for i = 1:25\n if i > 6, break; end\n if isprop(layers(i),'WeightLearnRateFactor')\n layers(i).WeightLearnRateFactor = 0; layers(i).BiasLearnRateFactor = 0;\n end\nend",
    "an error that is caught": "try\n error('no');\ncatch\n for i = [2 6], layers(i).WeightLearnRateFactor = 0; layers(i).BiasLearnRateFactor = 0; end\nend",
}


@pytest.mark.parametrize("form", SHAPES)
def test_shapes_and_ways_out(form: str, tmp_path: Path) -> None:
    network = made(
        reading(tmp_path, f"net = alexnet;\nlayers = net.Layers;\n{SHAPES[form]}\n{TRAIN.format('layers')}"), "alexnet"
    )
    assert [layer.name for layer in network.layers if layer.learnables and set(rates(network, layer.name)) == {0}] == [
        "conv1",
        "conv2",
    ]


UNSETTLED = {
    "a break": "for i = 1:8\n if rand > 0.5, break; end\n layers(2).WeightLearnRateFactor = i;\nend",
    "an early return": "layers = half(layers);",
    "a catch": "try\n x = compute();\ncatch\n layers(2).WeightLearnRateFactor = 5;\nend",
    "a loop over data": "for i = 1:numel(data)\n layers(2).WeightLearnRateFactor = i;\nend",
    "a helper that is not there": "layers = mystery(layers);",
    "a command that is not there": "prepareEverything\nlayers(2).WeightLearnRateFactor = 5;",
    "evaluated text": "eval('layers(2).WeightLearnRateFactor = 5;');",
    "a field by an unknown name": "layers(2).(chosen) = 0;",
    "a loop that trains and changes": "w = [1 2];\nwhile more()\n t = trainNetwork(imds, layers, trainingOptions('adam'));\n layers(2).WeightLearnRateFactor = 2;\nend",
    "an element of an unknown index": "layers(k).WeightLearnRateFactor = 0;",
}
HALF = "function layers = half(layers)\nif rand > 0.5\n return\nend\nlayers(2).WeightLearnRateFactor = 5;\nend\n"


@pytest.mark.parametrize("form", UNSETTLED)
def test_what_cannot_be_told_is_not_understood(form: str, tmp_path: Path) -> None:
    found = reading(
        tmp_path, f"net = alexnet;\nlayers = net.Layers;\n{UNSETTLED[form]}\n{TRAIN.format('layers')}", half=HALF
    )
    assert found.exit_code == 3 and found.not_understood


# What MATLAB gives for each; None: reading does not follow it, and says so.
VALUES = {
    "3 + mod(-1,5)": 7, "rem(-1,5) + 8": 7, "mod(7,0)": 7, "max([3 7 5])": 7, "max([3 9],8)": None, "round(6.5)": 7, "round(7.46,1)": None, "int32(15)/2": None,
    "strncmp('conv1','conv2',4) + 6": 7, "strncmp('con','conv',4) + 7": 7, "sum(strncmpi({'CONV1','conv2','fc'},'conv',4)) + 5": 7,
    "sum(strcmp({'a','b'},{'a','c'})) + 6": 7, "numel(find([0 1 1],1)) + 6": 7, "numel(vertcat([1;2],[3;4;5])) + 2": 7, "numel(horzcat([1 2],3)) + 4": 7,
    "zeros + 7": 7, "sum(true(1,7))": 7, "sum(ones(7,1))": 7, "numel(struct('a',{1,2}))": None, "numel(1:7)": 7, "numel(imds)": None,
}  # fmt: skip


@pytest.mark.parametrize("source", VALUES)
def test_values(source: str, tmp_path: Path) -> None:
    """The oracle is MATLAB's documentation of each function, worked out by hand."""
    start = "imds = imageDatastore('d','IncludeSubfolders',true,'LabelSource','foldernames');\nnet = alexnet;\n"
    found = reading(
        tmp_path, f"{start}t = trainNetwork(imds, net.Layers, trainingOptions('sgdm','MaxEpochs',{source}));\n"
    )
    assert found.recipe is not None
    assert found.recipe.options.MaxEpochs == (VALUES[source] or 30)
    assert found.exit_code == (0 if VALUES[source] else 3)


@pytest.mark.parametrize(
    "condition",
    ["numel(layers) > 25 && layers(26).HasNumbers", "numel(layers) ... all of them\n <= 25 || layers(26).HasNumbers"],
)
def test_short_circuits(condition: str, tmp_path: Path) -> None:
    found = reading(tmp_path, f"net = alexnet;\nlayers = net.Layers;\nif {condition}, end\n{TRAIN.format('layers')}")
    assert found.exit_code == 0


ANDS = {  # what MATLAB gives where the other side is not known; None: that depends on it
    "a && true": None, "a && false": False, "true && a": None, "false && a": False,
    "a || true": True, "a || false": None, "true || a": True, "false || a": None,
    "a & false": False, "a & true": None, "a | true": True, "a | false": None,
}  # fmt: skip


@pytest.mark.parametrize("condition", ANDS)
def test_a_condition_that_depends_on_what_is_not_known(condition: str, tmp_path: Path) -> None:
    """Where it is settled nevertheless, the branch is read or left out; else the network is not known."""
    start = "a = exist('net.mat','file') > rand;\nnet = alexnet;\nlayers = net.Layers;\n"
    branch = f"if {condition}\n layers(2).WeightLearnRateFactor = 0; layers(2).BiasLearnRateFactor = 0;\nend"
    found = reading(tmp_path, f"{start}{branch}\n{TRAIN.format('layers')}")
    if ANDS[condition] is None:
        assert found.exit_code == 3 and found.not_understood
        return
    assert found.exit_code == 0, found.not_understood
    assert (rates(made(found, "alexnet"), "conv1") == (0, 0)) == ANDS[condition]


@pytest.mark.parametrize(
    ("count", "each_epoch"),
    [
        ("floor(numel(a.Files)/16)", True),
        ("floor(numel(b.Files)/16)", False),  # of the validation images
        ("floor(numel(imds.Files)/16)", False),  # of all
        ("floor(numel(a.Files)/8)", False),  # by another size
    ],
)
def test_an_epoch_is_told_by_the_images_that_are_trained_on(count: str, each_epoch: bool, tmp_path: Path) -> None:
    source = f"""imds = imageDatastore('d','IncludeSubfolders',true,'LabelSource','foldernames');
[a,b] = splitEachLabel(imds,0.7);
options = trainingOptions('sgdm','MiniBatchSize',16,'ValidationFrequency',{count},'ValidationData',b);
net = alexnet;
net = trainNetwork(a,net.Layers,options);
"""
    found = reading(tmp_path, source)
    assert found.recipe is not None and found.recipe.data.validate_each_epoch == each_epoch
    assert found.exit_code == (0 if each_epoch else 3)


UPDATES = {  # MathWorks' signatures: where the learn rate stands among the arguments, and what follows it
    "adamupdate(net,g,[],[],1,0.01,0.8,0.99,1e-4)": {
        "solver": "adam", "InitialLearnRate": 0.01, "GradientDecayFactor": 0.8, "SquaredGradientDecayFactor": 0.99, "Epsilon": 1e-4,
    },
    "sgdmupdate(net,g,[],0.02,0.7)": {"solver": "sgdm", "InitialLearnRate": 0.02, "Momentum": 0.7},
    "rmspropupdate(net,g,[],0.03,0.95,1e-3)": {
        "solver": "rmsprop", "InitialLearnRate": 0.03, "SquaredGradientDecayFactor": 0.95, "Epsilon": 1e-3,
    },
}  # fmt: skip


@pytest.mark.parametrize("call", UPDATES)
def test_the_arguments_of_an_update_are_the_options_of_its_solver(call: str, tmp_path: Path) -> None:
    found = reading(tmp_path, f"net = dlnetwork(squeezenet);\n[loss,g] = dlfeval(@f,net);\nnet = {call};\n")
    assert found.recipe is not None
    assert {name: getattr(found.recipe.options, name) for name in UPDATES[call]} == UPDATES[call]


def test_validation_that_is_no_part_of_the_split(tmp_path: Path) -> None:
    """The second part of the split does not validate in its place."""
    source = "imds = imageDatastore('d','IncludeSubfolders',true,'LabelSource','foldernames');\n[a,b,c] = splitEachLabel(imds,0.6,0.2);\nnet = alexnet;\n"
    found = reading(tmp_path, f"{source}t = trainNetwork(a, net.Layers, trainingOptions('sgdm','ValidationData',c));\n")
    assert found.recipe is not None and not found.recipe.data.validates
    assert "is not the second part" in found.not_understood[0].what
