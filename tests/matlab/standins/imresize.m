function image = imresize(image, outputSize)
    % IMRESIZE By nearest neighbours, which are enough here.

    rows = ceil((1:outputSize(1)) * size(image, 1) / outputSize(1));
    columns = ceil((1:outputSize(2)) * size(image, 2) / outputSize(2));
    image = image(rows, columns, :);
end
