"""What a stored object may be called without anybody's ``custom_objects``, in Keras 1 to 3.

Classes of layers: from ``keras.layers`` and ``keras.ops`` (3.15), ``tf_keras.layers`` (2.21) and
the documentation of Keras 1. A functional model of Keras 3 stores operations, such as ``x[:, -1]``,
as layers. Functions: from ``losses``, ``metrics`` and ``activations`` of both.
"""

_LAYERS = """
    AbstractRNNCell Activation ActivityRegularization AdaptiveAveragePooling1D
    AdaptiveAveragePooling2D AdaptiveAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D
    AdaptiveMaxPooling3D Add AddLoss AddMetric AdditiveAttention AlphaDropout AtrousConv1D
    AtrousConv2D AtrousConvolution1D AtrousConvolution2D Attention AugMix AutoContrast
    AutoEncoder Average AveragePooling1D AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D
    AvgPool3D BaseRandomLayer BatchNormalization BatchNormalizationV1 BatchNormalizationV2
    Bidirectional CategoryEncoding CenterCrop ClassMethod Concatenate Container
    ContrastLimitedAdaptiveHistogramEqualization Conv1D Conv1DTranspose Conv2D Conv2DTranspose
    Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM2DCell ConvLSTM3D ConvRecurrent2D
    Convolution1D Convolution1DTranspose Convolution2D Convolution2DTranspose Convolution3D
    Convolution3DTranspose Copy Cropping1D Cropping2D Cropping3D CuDNNGRU CuDNNLSTM CutMix
    Deconvolution2D Deconvolution3D Dense DenseFeatures DepthwiseConv1D DepthwiseConv2D
    DeviceWrapper Discretization Dot Dropout DropoutWrapper DynamicEmbedding DynamicLookup ELU
    EinsumDense Embedding Equalization FeatureSpace Flatten FlaxLayer Functional GRU GRUCell
    GRUV1 GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D
    GlobalAveragePooling3D GlobalAvgPool1D GlobalAvgPool2D GlobalAvgPool3D GlobalMaxPool1D
    GlobalMaxPool2D GlobalMaxPool3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
    Graph GroupNormalization GroupQueryAttention GroupedQueryAttention HashedCrossing Hashing
    Highway Identity IndexLookup InputLayer InstanceMethod InstanceProperty IntegerLookup JZS1
    JZS2 JZS3 JaxLayer LSTM LSTMCell LSTMV1 Lambda LambdaMerge Layer LayerNormalization
    LayerScale LeakyReLU LinearModel LocallyConnected1D LocallyConnected2D Masking
    MaxNumBoundingBoxes MaxPool1D MaxPool2D MaxPool3D MaxPooling1D MaxPooling2D MaxPooling3D
    Maximum MaxoutDense MelSpectrogram Merge Minimum MixUp Model ModuleWrapper
    MultiHeadAttention Multiply Normalization PReLU ParametricSoftplus PeepholeLSTMCell Permute
    Pipeline PreprocessingLayer RMSNormalization RNN RandAugment RandomBrightness
    RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop RandomElasticTransform
    RandomErasing RandomFlip RandomFourierFeatures RandomGaussianBlur RandomGrayscale
    RandomHeight RandomHue RandomInvert RandomPerspective RandomPosterization RandomRotation
    RandomSaturation RandomSharpness RandomShear RandomTranslation RandomWidth RandomZoom ReLU
    Recurrent RepeatVector Rescaling Reshape ResidualWrapper Resizing ReversibleEmbedding SReLU
    STFTSpectrogram SeparableConv1D SeparableConv2D SeparableConvolution1D
    SeparableConvolution2D SequenceFeatures Sequential SharpnessAwareMinimization Siamese
    SiameseHead SimpleRNN SimpleRNNCell SlicingOpLambda Softmax Solarization SpatialDropout1D
    SpatialDropout2D SpatialDropout3D SpectralNormalization StackedRNNCells StochasticDepth
    StringLookup Subtract SyncBatchNormalization TFDConcat TFDIdentity TFOpLambda TFSMLayer
    TensorFlowOpLayer TextVectorization ThresholdedLinear ThresholdedReLU TimeDistributed
    TimeDistributedDense TimeDistributedMerge TorchModuleWrapper UnitNormalization UpSampling1D
    UpSampling2D UpSampling3D WideDeepModel Wrapper ZeroPadding1D ZeroPadding2D ZeroPadding3D
"""
_OPERATIONS = """
    Abs Absolute AdaptiveAveragePool AdaptiveMaxPool AffineTransform All AllClose Amax Amin
    Angle Any Append Arange Arccos Arccosh Arcsin Arcsinh Arctan Arctan2 Arctanh Argmax Argmin
    Argpartition Argsort Array ArraySplit AssociativeScan AveragePool BatchNorm
    BinaryCrossentropy Bincount BitwiseAnd BitwiseInvert BitwiseLeftShift BitwiseNot BitwiseOr
    BitwiseRightShift BitwiseXor BroadcastTo CDist CTCDecode CTCLoss Cast
    CategoricalCrossentropy Cbrt Ceil Celu Cholesky CholeskyInverse Clip Cond Conj Conjugate
    Conv ConvTranspose ConvertToTensor Corrcoef Correlate Cos Cosh CountNonzero CropImages Cross
    Cumprod Cumsum Deg2rad DepthToSpace DepthwiseConv Det Diag Diagflat Diagonal Diff Digitize
    Divide DivideNoNan DotProductAttention Dsplit Dstack Eig Eigh Einsum ElasticTransform Elu
    EmptyLike Equal Erf Erfc Erfinv Exp Exp2 ExpandDims Expm1 ExtractPatches ExtractSequences
    FFT FFT2 Fabs Flip Fliplr Flipud Floor FloorDivide Fmax Fmin Fmod Fold ForiLoop Full
    FullLike Function GaussianBlur Gcd Gelu Geomspace GetItem Glu Greater GreaterEqual HSVToRGB
    HardShrink HardSigmoid HardSilu HardTanh Heaviside Histogram Hsplit Hstack Hypot I0 IFFT2
    IRFFT ISTFT Imag InTopK Inner Inv IsIn Isclose Isfinite Isinf Isnan Isneginf Isposinf Isreal
    JVP Kron LayerNorm Lcm Ldexp LeakyRelu LeftShift Less LessEqual Linspace Log Log10 Log1p
    Log2 LogSigmoid LogSoftmax Logaddexp Logaddexp2 Logdet LogicalAnd LogicalNot LogicalOr
    LogicalXor Logspace Logsumexp Lstsq LuFactor Map MapCoordinates Matmul MatrixRank Max
    MaxPool Mean Median Meshgrid Min Mod Moments Moveaxis MultiHot NanToNum Nanargmax Nanargmin
    Nancumprod Nancumsum Nanmax Nanmean Nanmedian Nanmin Nanpercentile Nanprod Nanquantile
    Nanstd Nansum Nanvar Ndim Negative Nextafter Nonzero Norm Normalize NotEqual OneHot OnesLike
    Outer PSNR Pad PadImages Percentile PerspectiveTransform Pinv Polar Power Prod Ptp Qr
    Quantile RFFT RGBToGrayscale RGBToHSV RMSNorm Rad2deg Ravel Real Rearrange Reciprocal Relu
    Relu6 Repeat Resize RightShift Roll Rot90 Round Rsqrt SSIM STFT SVD SaturateCast
    ScaleAndTranslate Scan Scatter ScatterUpdate SearchSorted SegmentMax SegmentMin SegmentProd
    SegmentReduction SegmentSum Select Selu SeparableConv Sigmoid Sign Signbit Silu Sin Sinc
    Sinh Size Slice SliceUpdate Slogdet SobelEdges SoftShrink Softplus Softsign Solve
    SolveTriangular Sort SpaceToDepth SparseCategoricalCrossentropy SparsePlus SparseSigmoid
    Sparsemax Split Sqrt Square Squareplus Squeeze Stack Std StopGradient Sum Swapaxes Switch
    Take TakeAlongAxis Tan Tanh TanhShrink Tensordot Threshold Tile TopK Trace Transpose
    Trapezoid Tril Triu TrueDivide Trunc Unfold Unique UnravelIndex Unstack Vander Var Vdot
    VectorizedMap View ViewAsComplex ViewAsReal Vsplit Vstack Where WhileLoop ZerosLike
"""
_FUNCTIONS = """
    binary_accuracy binary_crossentropy binary_focal_crossentropy categorical_accuracy
    categorical_crossentropy categorical_focal_crossentropy categorical_generalized_cross_entropy
    categorical_hinge celu circle concordance_correlation cosine_similarity ctc dice elu exponential
    gelu glu hard_shrink hard_sigmoid hard_silu hard_tanh hinge huber kl_divergence leaky_relu
    linear log_cosh log_sigmoid log_softmax mean_absolute_error mean_absolute_percentage_error
    mean_squared_error mean_squared_logarithmic_error mish pearson_correlation poisson relu relu6
    selu sigmoid silu soft_shrink softmax softplus softsign sparse_categorical_accuracy
    sparse_categorical_crossentropy sparse_plus sparse_sigmoid sparse_top_k_categorical_accuracy
    sparsemax squared_hinge squareplus swish tanh tanh_shrink threshold top_k_categorical_accuracy
    tversky
"""

LAYERS = frozenset(_LAYERS.split())
OPERATIONS = frozenset(_OPERATIONS.split())
FUNCTIONS = frozenset(_FUNCTIONS.split())
