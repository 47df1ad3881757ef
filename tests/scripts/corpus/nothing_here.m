x = linspace(0,1,100);
plot(x,sin(x))
