inputSize = [224 224 3];
numClasses = 1;
anchorBoxes = [43 59; 18 22; 23 29; 84 109];
lgraph = yolov2Layers(inputSize,numClasses,anchorBoxes,resnet50,'activation_40_relu');
options = trainingOptions('sgdm','MiniBatchSize',16,'InitialLearnRate',1e-3,'MaxEpochs',20);
data = load('vehicleTrain.mat');
[detector,info] = trainYOLOv2ObjectDetector(data.t,lgraph,options);
