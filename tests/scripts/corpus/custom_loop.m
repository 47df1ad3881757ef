net = imagePretrainedNetwork("squeezenet",NumClasses=3);
averageGrad = []; averageSqGrad = [];
learnRate = 0.001;
mbq = minibatchqueue(augmentedImageDatastore([227 227],imageDatastore("t",IncludeSubfolders=true,LabelSource="foldernames")),MiniBatchSize=16);
iteration = 0;
for epoch = 1:10
    shuffle(mbq);
    while hasdata(mbq)
        iteration = iteration + 1;
        [X,T] = next(mbq);
        [loss,gradients] = dlfeval(@modelLoss,net,X,T);
        [net,averageGrad,averageSqGrad] = adamupdate(net,gradients,averageGrad,averageSqGrad,iteration,learnRate);
    end
end
function [loss,gradients] = modelLoss(net,X,T)
Y = forward(net,X);
loss = crossentropy(Y,T);
gradients = dlgradient(loss,net.Learnables);
end
