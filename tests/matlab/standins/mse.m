function loss = mse(Y, T)
    % MSE Half of the squared errors, a mean over observations.

    errors = extractdata(Y) - extractdata(T);
    loss = dlarray(sum(errors(:).^2) / (2 * size(errors, 2)), '');
end
